//! What the API asks of the daemon: one method per request, in the words of the wire.
//!
//! Owns: [`Control`]. The API has checked the form of what it passes on (names, ranges that are
//! not empty, limits of queries); whether it can be done is for the implementation to say.

use tier_wire::{
    CancelMove, CreateVolume, DestroyVolume, ErrorBody, ExplainQuery, Explanation, Health, HeatMap,
    HeatQuery, MemberList, ModelList, Move, MoveAccepted, MoveList, MoveRequest, MovesQuery,
    PauseState, Plan, Rollback, SetPriority, StartVolume, Status, StopVolume, Volume, VolumeChange,
    VolumeList, VolumeName,
};

/// What a request comes to.
pub type Answer<T> = Result<T, ErrorBody>;

/// The daemon, as the API sees it. Implementations may write each method as `async fn`.
///
/// A method runs in a task of its own: when its deadline passes the client is told so, and the
/// method goes on to its end. So a change is never dropped half done, and a method that waits for
/// ever holds one of the API's places for ever.
///
/// A request with `dry_run` set changes nothing, and fails where the real one would.
pub trait Control: Send + Sync + 'static {
    /// How the daemon itself is doing.
    fn health(&self) -> impl Future<Output = Answer<Health>> + Send;

    /// All volumes that it knows, by name; those that do not run included.
    fn volumes(&self) -> impl Future<Output = Answer<VolumeList>> + Send;

    /// One volume.
    fn volume(&self, name: VolumeName) -> impl Future<Output = Answer<Volume>> + Send;

    /// Creates a volume and starts it.
    fn create(&self, request: CreateVolume) -> impl Future<Output = Answer<VolumeChange>> + Send;

    /// Starts a volume.
    fn start(
        &self,
        name: VolumeName,
        request: StartVolume,
    ) -> impl Future<Output = Answer<VolumeChange>> + Send;

    /// Stops a volume; refused while it is open.
    fn stop(
        &self,
        name: VolumeName,
        request: StopVolume,
    ) -> impl Future<Output = Answer<VolumeChange>> + Send;

    /// Destroys a volume that does not run.
    fn destroy(
        &self,
        name: VolumeName,
        request: DestroyVolume,
    ) -> impl Future<Output = Answer<VolumeChange>> + Send;

    /// The members of a volume.
    fn members(&self, name: VolumeName) -> impl Future<Output = Answer<MemberList>> + Send;

    /// How a volume is doing.
    fn status(&self, name: VolumeName) -> impl Future<Output = Answer<Status>> + Send;

    /// Where a volume is hot.
    fn heat(
        &self,
        name: VolumeName,
        query: HeatQuery,
    ) -> impl Future<Output = Answer<HeatMap>> + Send;

    /// What the policy would move now. Begins nothing.
    fn plan(&self, name: VolumeName) -> impl Future<Output = Answer<Plan>> + Send;

    /// Why a region is where it is, or what came of a move.
    fn explain(
        &self,
        name: VolumeName,
        query: ExplainQuery,
    ) -> impl Future<Output = Answer<Explanation>> + Send;

    /// The models by which a volume's network forecasts.
    fn models(&self, name: VolumeName) -> impl Future<Output = Answer<ModelList>> + Send;

    /// Has a new model trained. Answered as soon as that has begun.
    fn retrain(&self, name: VolumeName) -> impl Future<Output = Answer<ModelList>> + Send;

    /// Takes another model into use.
    fn roll_back(
        &self,
        name: VolumeName,
        request: Rollback,
    ) -> impl Future<Output = Answer<ModelList>> + Send;

    /// Begins moves by hand. Answered as soon as they are begun or pending.
    fn begin_moves(
        &self,
        name: VolumeName,
        request: MoveRequest,
    ) -> impl Future<Output = Answer<MoveAccepted>> + Send;

    /// Moves under way, pending and past.
    fn moves(
        &self,
        name: VolumeName,
        query: MovesQuery,
    ) -> impl Future<Output = Answer<MoveList>> + Send;

    /// Takes a move back.
    fn cancel(
        &self,
        name: VolumeName,
        id: u64,
        request: CancelMove,
    ) -> impl Future<Output = Answer<Move>> + Send;

    /// Changes how fast a move goes.
    fn set_priority(
        &self,
        name: VolumeName,
        id: u64,
        request: SetPriority,
    ) -> impl Future<Output = Answer<Move>> + Send;

    /// Keeps the policy from beginning moves, until it is resumed. Pausing twice is no error.
    fn pause(&self, name: VolumeName) -> impl Future<Output = Answer<PauseState>> + Send;

    /// Lets the policy begin moves again. Resuming twice is no error.
    fn resume(&self, name: VolumeName) -> impl Future<Output = Answer<PauseState>> + Send;
}

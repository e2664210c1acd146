use super::*;

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

fn read(content: &str) -> Result<Trace, TraceError> {
    Trace::read(file(content.as_bytes()).path())
}

fn request(at: u64, op: Op, offset: u64, length: u64) -> Request {
    Request {
        at: Micros(at),
        op,
        offset: Bytes(offset),
        length: Bytes(length),
    }
}

/// The number and the reason of the line that stops the reading.
fn torn(content: &str) -> (u64, String) {
    match read(content) {
        Err(TraceError::Line { number, why, .. }) => (number, why),
        other => panic!("{other:?}"),
    }
}

const OWN: &str = "timestamp_us,op,offset_bytes,length_bytes\n\
                   100,R,4096,8192\n\
                   150,W,0,512\n";

#[test]
fn own_traces_begin_with_their_first_request() {
    let trace = read(OWN).unwrap();
    let wanted = [
        request(0, Op::Read, 4096, 8192),
        request(50, Op::Write, 0, 512),
    ];
    assert_eq!(trace.requests, wanted);
    assert_eq!((trace.span(), trace.end()), (Micros(50), Bytes(12288)));
}

#[test]
fn what_is_written_is_read_again() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let requests = [
        request(0, Op::Read, 4096, 8192),
        request(50, Op::Write, 0, 512),
    ];
    for one in &requests {
        writer.write(one).unwrap();
    }
    let written = file(&writer.into_inner());
    assert_eq!(Trace::read(written.path()).unwrap().requests, requests);
}

#[test]
fn a_compressed_trace_reads_as_the_plain_one() {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let compressed = ruzstd::encoding::compress_to_vec(OWN.as_bytes(), level);
    let trace = Trace::read(file(&compressed).path()).unwrap();
    assert_eq!(trace, read(OWN).unwrap());
    let cut = file(&compressed[..compressed.len() - 9]);
    let error = Trace::read(cut.path()).unwrap_err();
    assert!(matches!(error, TraceError::Io { .. }), "{error}");
}

#[test]
fn traces_of_msr_cambridge_are_read_in_the_order_of_time() {
    let trace = read(
        "128166372003061629,web,3,Read,7014609920,24576,41286\n\
         128166372013061629,web,3,Write,1317441536,8192,1963\n\
         128166372008061629,web,3,Write,1317441536,0,10\n\
         128166372008061639,web,3,Read,512,512,10\n",
    );
    let trace = trace.unwrap();
    let wanted = [
        request(0, Op::Read, 7_014_609_920, 24576),
        request(500_001, Op::Read, 512, 512),
        request(1_000_000, Op::Write, 1_317_441_536, 8192),
    ];
    assert_eq!(trace.requests, wanted);
    assert_eq!(trace.lines_passed_over, 1);
}

#[test]
fn of_blkparse_what_was_queued_counts() {
    let trace = read(
        "  8,0    3        1     0.000000000   697  Q   W 223490 + 8 [kjournald]\n\
         8,0    3        2     0.000001829   697  G   W 223490 + 8 [kjournald]\n\
         8,0    1        3     0.000100500   698  Q  RA 8 + 256 [cat]\n\
         8,0    1        4     0.000200000   698  Q FWS [fsync]\n\
         8,0    1        5     0.000300000   698  Q   D 8 + 8 [fstrim]\n\
         8,0    1        6     0.000400000   698  Q FWFSM 16 + 8 [jbd2]\n\
         8,0    1        7     0.000400000   698  m   N cfq697 insert_request\n\
         CPU0 (sda):\n \
         Reads Queued:           1,      128KiB\t Writes Queued:\n\
         Throughput (R/W): 0KiB/s / 0KiB/s\n",
    );
    let trace = trace.unwrap();
    let wanted = [
        request(0, Op::Write, 223_490 * 512, 4096),
        request(100, Op::Read, 4096, 131_072),
        request(400, Op::Write, 8192, 4096),
    ];
    assert_eq!(trace.requests, wanted);
}

#[test]
fn both_versions_of_a_log_of_fio_are_read() {
    let two = "fio version 2 iolog\n/dev/sda add\n/dev/sda open\n/dev/sda read 0 4096\n\
               /dev/sda wait 250 0\n/dev/sda write 8192 512\n/dev/sda sync 0 0\n/dev/sda close\n";
    let three = "fio version 3 iolog\n24 /dev/sda add\n121 /dev/sda open\n\
                 125 /dev/sda read 0 4096\n375 /dev/sda write 8192 512\n400 /dev/sda close\n";
    for log in [two, three] {
        let wanted = [
            request(0, Op::Read, 0, 4096),
            request(250, Op::Write, 8192, 512),
        ];
        assert_eq!(read(log).unwrap().requests, wanted, "{log}");
    }
}

#[test]
fn a_line_that_is_torn_is_named_with_its_number() {
    let own = |line: &str| torn(&format!("{OWN}{line}\n"));
    assert_eq!(own("200,R,40").0, 4);
    assert_eq!(own("200,X,4096,512").0, 4);
    let (number, why) = own("200,R,4o96,512");
    assert!(number == 4 && why.contains("4o96"), "{why}");
    let msr = "128166372003061629,web,3,Read,7014609920,24576,41286\n128166372,web,3,Read,70\n";
    assert_eq!(torn(msr).0, 2);
    let blkparse = "8,0 3 1 0.000000000 697 Q W 223490 + 8 [x]\n";
    assert_eq!(torn(&format!("{blkparse}8,0 3 1 0.0000\n")).0, 2);
    assert_eq!(torn(&format!("{blkparse}8,0 3 1 0.1 697 Q W 22 + \n")).0, 2);
    let fio = "fio version 3 iolog\n1 /dev/sda add\n";
    assert_eq!(torn(&format!("{fio}2 /dev/sda read 0\n")).0, 3);
    let (_, why) = torn(&format!("{fio}2 /dev/sda read 0 1\n3 /dev/sdb read 0 1\n"));
    assert!(
        why.contains("/dev/sdb") && why.contains("/dev/sda"),
        "{why}"
    );
    let (number, _) = torn("fio version 3 iolog\n1 /dev/sda read 0 18446744073709551616\n");
    assert_eq!(number, 2);
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    let error = read("hello\n").unwrap_err().to_string();
    assert!(
        error.contains("\"hello\"") && error.contains("blkparse"),
        "{error}"
    );
    assert!(matches!(read(""), Err(TraceError::Unknown { .. })));
    let header = "timestamp_us,op,offset_bytes,length_bytes\n";
    assert!(matches!(read(header), Err(TraceError::Empty(_))));
    let missing = Trace::read(Path::new("/nonexistent/trace")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/trace"));
}

/*
 * User-Mode Linux 6.1 on processors whose extended state is larger than it knows, such as those
 * with AMX: it gives ptrace the first 2696 bytes of a process's state, and the host takes all of it
 * or nothing (EFAULT), so that the guest dies at its first process. Loaded before libc, this puts
 * what it was given in front of what the process has, and hands all of that on. What lies behind
 * are AMX's tiles, for which a guest's process cannot ask.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef long call(int request, pid_t pid, void *address, void *data);

long ptrace(enum __ptrace_request request, ...)
{
	static call *real;
	static __thread char whole[1 << 16];
	struct iovec all = { whole, sizeof(whole) };
	struct iovec *given;
	pid_t pid;
	void *address, *data;
	va_list list;

	va_start(list, request);
	pid = va_arg(list, pid_t);
	address = va_arg(list, void *);
	data = va_arg(list, void *);
	va_end(list);
	if (!real)
		real = (call *)dlsym(RTLD_NEXT, "ptrace");
	if (request != PTRACE_SETREGSET || (unsigned long)address != NT_X86_XSTATE)
		return real(request, pid, address, data);
	given = data;
	if (real(PTRACE_GETREGSET, pid, address, &all) || all.iov_len <= given->iov_len)
		return real(request, pid, address, data);
	memcpy(whole, given->iov_base, given->iov_len);
	return real(request, pid, address, &all);
}

/*
 * Clocks that jump: a test preloads this into a program, and what it writes into a file is added to
 * the seconds of the program's clocks.  SPIPED_TEST_CLOCKS names that file: two 64-bit numbers, one
 * for the wall clock and one for the monotonic one.  It is mapped at the start, since a sandbox may
 * forbid to open it later.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t * jumps;

__attribute__((constructor)) static void
map(void)
{
	const char * path = getenv("SPIPED_TEST_CLOCKS");
	int fd;

	/* Without it a test would prove nothing, so it shall fail. */
	if ((path == NULL) || ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1))
		abort();
	jumps = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (jumps == MAP_FAILED)
		abort();
	close(fd);
}

int
clock_gettime(clockid_t clock, struct timespec * time)
{
	static int (* original)(clockid_t, struct timespec *);
	int rc;

	if (original == NULL)
		*(void **)(&original) = dlsym(RTLD_NEXT, "clock_gettime");
	rc = original(clock, time);
	if ((rc == 0) && (jumps != NULL)) {
		if (clock == CLOCK_REALTIME)
			time->tv_sec += jumps[0];
		else if (clock == CLOCK_MONOTONIC)
			time->tv_sec += jumps[1];
	}
	return (rc);
}

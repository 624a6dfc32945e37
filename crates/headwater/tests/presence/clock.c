// Shifts the wall clock of a process by as many seconds as the file says that HEADWATER_TEST_CLOCK
// names, also while it runs. The monotonic clock stays as it is.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("HEADWATER_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    void *seconds = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (seconds != MAP_FAILED) shift = seconds;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME && shift) time->tv_sec += *shift;
    return failed;
}

/* LD_PRELOAD: shifts the wall clock of one process while it runs, and leaves the monotonic one
 * alone.
 *
 * MFN_CLOCK_FILE names a file of 8 bytes, the shift in nanoseconds as a native int64; it is mapped,
 * so that writing into it is a jump at once. Absolute waits on the wall clock (futex with
 * FUTEX_CLOCK_REALTIME, pthread_cond_timedwait) are shifted back, because the kernel's clock stays.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t zero;
static volatile int64_t* shift = &zero;

__attribute__((constructor)) static void map_shift(void) {
  const char* path = getenv("MFN_CLOCK_FILE");
  if (path == NULL) return;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) shift = mapped;
}

static struct timespec moved(struct timespec time, int64_t nanos) {
  const int64_t sum = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec + nanos;
  time.tv_sec = sum / 1000000000;
  time.tv_nsec = sum % 1000000000;
  return time;
}

static int is_wall(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  const int code = (int)syscall(SYS_clock_gettime, clock, time);
  if (code == 0 && is_wall(clock)) *time = moved(*time, *shift);
  return code;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t* restrict condition, pthread_mutex_t* restrict mutex,
                           const struct timespec* restrict until) {
  /* The clock of a condition is not to be read from it; wall is what everyone here uses. */
  const struct timespec real = moved(*until, -*shift);
  return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, &real);
}

long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "syscall");
  va_list list;
  va_start(list, number);
  long a[6];
  for (int k = 0; k < 6; ++k) a[k] = va_arg(list, long);
  va_end(list);
  struct timespec real;
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0 && a[3] != 0) {
    real = moved(*(const struct timespec*)a[3], -*shift);
    a[3] = (long)&real;
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

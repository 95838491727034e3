/* A wall clock that can be moved: for every program that is started with it, see jumping_clock.py.
 *
 * The offset, in seconds, is the first eight bytes of OFFSET_FILE. The monotonic clock goes on as it is. What waits
 * until a time of the wall clock gets the time that the system knows by that name; a wait that is under way goes on as
 * it was. Programs that are linked statically keep the machine's clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* The monotonic clock begins with the machine: a later time than this is one of the wall clock. */
#define WALL_CLOCK_MIN_S 1000000000

static volatile int64_t *moved;

__attribute__((constructor)) static void find_offset(void) {
    int file = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) moved = page;
    close(file);
}

static int64_t offset_s(void) { return moved ? *moved : 0; }

static int real_clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = (__typeof__(&clock_gettime))dlsym(RTLD_NEXT, "clock_gettime");
    return real(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_clock_gettime(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset_s();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

static struct timespec as_the_system_knows(const struct timespec *until) {
    struct timespec result = *until;
    if (result.tv_sec > WALL_CLOCK_MIN_S) result.tv_sec -= offset_s();
    return result;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static __typeof__(&pthread_cond_timedwait) real;
    /* Where there are two of that name, the plain look-up finds the older one. */
    if (!real) real = (__typeof__(&pthread_cond_timedwait))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = (__typeof__(&pthread_cond_timedwait))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec when = as_the_system_knows(until);
    return real(condition, mutex, &when);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    static __typeof__(&pthread_mutex_timedlock) real;
    if (!real) real = (__typeof__(&pthread_mutex_timedlock))dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    struct timespec when = as_the_system_knows(until);
    return real(mutex, &when);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static __typeof__(&sem_timedwait) real;
    if (!real) real = (__typeof__(&sem_timedwait))dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec when = as_the_system_knows(until);
    return real(semaphore, &when);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    static __typeof__(&cnd_timedwait) real;
    if (!real) real = (__typeof__(&cnd_timedwait))dlsym(RTLD_NEXT, "cnd_timedwait");
    struct timespec when = as_the_system_knows(until);
    return real(condition, mutex, &when);
}

int mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict until) {
    static __typeof__(&mtx_timedlock) real;
    if (!real) real = (__typeof__(&mtx_timedlock))dlsym(RTLD_NEXT, "mtx_timedlock");
    struct timespec when = as_the_system_knows(until);
    return real(mutex, &when);
}

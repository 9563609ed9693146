/* Mutates gzip files and their tokens for so many seconds, and sees that gzip-tokens stays within its bounds and says
 * no lie: whatever it takes apart comes back bit for bit, and whatever it puts together can be taken apart again.
 *
 *     fuzz SECONDS SEED FILE.gz...
 *
 * Built with undefined-behaviour checks, which trap. Prints how many inputs it tried, and how many were taken.
 */
#define FUZZ
#include "gzip_tokens.c"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 1 << 23 };
typedef struct {
    u8 *data;
    long at, size;
} Bytes;

static Bytes source, target;
static jmp_buf failed;
static u64 state;

static long sys_read(void *to, long most) {
    long count = source.size - source.at;
    if (count > most) count = most;
    if (count > 1) count = 1 + (long)(state % (u64)count); /* pipes give what they have */
    memcpy(to, source.data + source.at, (size_t)count);
    source.at += count;
    return count;
}

static long sys_write(const void *from, long count) {
    if (target.size + count > MOST) return -1;
    memcpy(target.data + target.size, from, (size_t)count);
    target.size += count;
    return count;
}

static void fail(int code) { longjmp(failed, code); }

static u64 roll(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Whether the work takes the input; what comes of it is in `into`. */
static int takes(void (*work)(void), Bytes input, Bytes *into) {
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    source = input;
    source.at = 0;
    target = *into;
    target.size = 0;
    int code = setjmp(failed);
    if (!code) {
        work();
        flush();
    } else if (code != DAMAGED && code != FAILED) {
        abort();
    }
    *into = target;
    return !code;
}

static void mutate(Bytes *bytes) {
    for (u64 times = 1 + roll() % 4; times && bytes->size; times--) {
        long at = (long)(roll() % (u64)bytes->size), length = (long)(roll() % 64);
        switch (roll() % 6) {
        case 0: bytes->data[at] ^= (u8)(1 << roll() % 8); break;
        case 1: bytes->data[at] = (u8)roll(); break;
        case 2: bytes->size = at; break;
        case 3: /* repeat a piece */
            if (at + 2 * length < bytes->size) memmove(bytes->data + at + length, bytes->data + at, (size_t)length);
            break;
        case 4: /* cut a piece out */
            if (at + length >= bytes->size) break;
            memmove(bytes->data + at, bytes->data + at + length, (size_t)(bytes->size - at - length));
            bytes->size -= length;
            break;
        default: bytes->data[at] = "MSFDTR\xf0\xff\0\x1f"[roll() % 10];
        }
    }
}

static int same_bytes(Bytes one, Bytes other) {
    return one.size == other.size && !memcmp(one.data, other.data, (size_t)one.size);
}

int main(int argc, char **argv) {
    Bytes input = {malloc(MOST), 0, 0}, first = {malloc(MOST), 0, 0}, second = {malloc(MOST), 0, 0};
    if (argc < 4 || !input.data || !first.data || !second.data) return 2;
    time_t end = time(0) + atoi(argv[1]);
    state = strtoull(argv[2], 0, 10) | 1;
    u64 tried = 0, taken = 0;
    for (; time(0) < end; tried++) {
        FILE *file = fopen(argv[3 + roll() % (u64)(argc - 3)], "rb");
        if (!file) return 2;
        input.size = (long)fread(input.data, 1, MOST, file);
        fclose(file);
        int of_tokens = roll() & 1;
        if (of_tokens) {
            if (!takes(parse, input, &first)) return 3;
            memcpy(input.data, first.data, (size_t)(input.size = first.size));
        }
        mutate(&input);
        if (!takes(of_tokens ? encode_all : parse, input, &first)) continue;
        taken++;
        if (of_tokens) { /* can say the same in more than one way, and what is no gzip file */
            if (!takes(parse, first, &second)) continue;
            if (!takes(encode_all, second, &input) || !same_bytes(input, first)) abort();
        } else if (!takes(encode_all, first, &second) || !same_bytes(second, input)) {
            abort();
        }
    }
    printf("%llu tried, %llu taken\n", tried, taken);
    return 0;
}

/* gzip-tokens: a gzip file's deflate tokens, taken apart and put together again, bit for bit.
 *
 *     gzip-tokens parse  < FILE.gz > TOKENS
 *     gzip-tokens encode < TOKENS  > FILE.gz
 *
 * A deflate stream (RFC 1951) is a sequence of literals and matches, in blocks, each with its own Huffman code. Which
 * ones a compressor chose cannot be told from the plain bytes, so nobody can compress them again to the same file;
 * but the choice itself can be written down, a byte or a few for each literal and match, and two files' choices are
 * as alike as their contents: a small difference between them carries the exact new file. Nothing is inflated, and
 * no window is kept: memory is what stands below, whatever the input.
 *
 * Standard input and output only. On Linux the kernel then holds it to read, write and exit (seccomp's strict mode).
 * Input is taken as hostile. Exit code 0; 64 wrong use; 65 not such a file, or one that could not come back bit for
 * bit; 74 input or output failed. Always whole or in error: whoever uses it compares a digest all the same.
 *
 * TOKENS, numbers little-endian:
 *     "gzt1", then members (RFC 1952) until the end
 *     'M' u16 n, n bytes         a member begins: its header
 *     'S' u8 f, u16 n, n bytes   a stored block; f: bit 0 the last block, bits 1 to 7 the padding before its length
 *     'F' u8 f, tokens           a block with the fixed code
 *     'D' u8 f, u8 hlit, u8 hdist, u8 hclen, hclen + 4 lengths of the code length code,
 *         symbols of that code (16, 17, 18 with a byte of extra bits), tokens
 *     'T' u8 p, 8 bytes          a member ends: the padding's bits, CRC32 and ISIZE
 *     'R' u16 n, n bytes         bytes after the last member; may be said again
 * tokens: u8 c
 *     c < 240   c literals, then a match: u8 length - 3, u16 distance - 1, bit 15 where 258 is written as 227 + 31
 *     c = 240   240 literals, and it goes on
 *     c = 255   u8 n < 240, n literals, and the block ends
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { RUN = 240, END = 255, USAGE = 64, DAMAGED = 65, FAILED = 74 };
enum { IO = 1 << 16, LITLEN = 286, DIST = 30, LONGEST = 15, FAST = 10 };

static void fail(int code) __attribute__((noreturn));

/* ---- the system ---------------------------------------------------------------------------------------- */

#ifdef FUZZ /* a test's own, which includes this file */
static long sys_read(void *to, long most);
static long sys_write(const void *from, long count);
#else
/* No C library: four calls are all that is needed, and so it is small and the same on every system. */
#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, EXIT = 60, PRCTL = 157 };
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
__asm__(".global _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, EXIT = 93, PRCTL = 167 };
static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
__asm__(".global _start\n_start: mov x0, sp\nb begin\n");
#elif defined(__arm__)
enum { READ = 3, WRITE = 4, EXIT = 1, PRCTL = 172 };
static long call(long number, long a, long b, long c) {
    register long r7 __asm__("r7") = number, r0 __asm__("r0") = a, r1 __asm__("r1") = b, r2 __asm__("r2") = c;
    __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
    return r0;
}
__asm__(".global _start\n_start: mov r0, sp\nbic sp, sp, #7\nb begin\n");
#elif defined(__riscv) && __riscv_xlen == 64
enum { READ = 63, WRITE = 64, EXIT = 93, PRCTL = 167 };
static long call(long number, long a, long b, long c) {
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}
__asm__(".global _start\n_start: mv a0, sp\ntail begin\n");
#endif
enum { PR_SET_SECCOMP = 22, SECCOMP_MODE_STRICT = 1, EINTR = 4 };

static long sys_read(void *to, long most) {
    long got;
    do got = call(READ, 0, (long)to, most); while (got == -EINTR);
    return got;
}
static long sys_write(const void *from, long count) {
    long put;
    do put = call(WRITE, 1, (long)from, count); while (put == -EINTR);
    return put;
}
static void fail(int code) {
    for (;;) call(EXIT, code, 0, 0);
}
/* A kernel without seccomp refuses; the program does the same there. */
static void confine(void) { call(PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0); }
/* What compilers call for by themselves. */
void *memset(void *to, int value, unsigned long count) {
    volatile u8 *at = to;
    while (count--) *at++ = (u8)value;
    return to;
}
#endif

/* ---- bytes and bits ------------------------------------------------------------------------------------ */

static struct {
    u8 data[IO];
    u32 at, end;
    u64 bits;
    u32 count; /* of bits that have been taken from data, and not yet used */
} in;

static struct {
    u8 data[IO];
    u32 at;
    u64 bits;
    u32 count;
} out;

static int fill(void) {
    long got = sys_read(in.data, IO);
    if (got < 0) fail(FAILED);
    in.at = 0;
    in.end = (u32)got;
    return got > 0;
}

static void flush(void) {
    for (u32 at = 0; at < out.at;) {
        long put = sys_write(out.data + at, out.at - at);
        if (put <= 0) fail(FAILED);
        at += (u32)put;
    }
    out.at = 0;
}

/* At least that many bits, or as many as there still are. */
static void want(u32 count) {
    while (in.count < count && (in.at < in.end || fill())) {
        in.bits |= (u64)in.data[in.at++] << in.count;
        in.count += 8;
    }
}

static u32 peek(u32 count) { return (u32)in.bits & ((1u << count) - 1); }

static u32 take(u32 count) {
    want(count);
    if (in.count < count) fail(DAMAGED);
    u32 value = peek(count);
    in.bits >>= count;
    in.count -= count;
    return value;
}

static int more(void) {
    want(8);
    return in.count >= 8;
}

static u8 get(void) { return (u8)take(8); }

static u16 get16(void) {
    u16 low = get();
    return (u16)(low | get() << 8);
}

static void put(u8 byte) {
    if (out.at == IO) flush();
    out.data[out.at++] = byte;
}

static void put16(u32 value) {
    put((u8)value);
    put((u8)(value >> 8));
}

static void put_bits(u32 value, u32 count) {
    out.bits |= (u64)value << out.count;
    for (out.count += count; out.count >= 8; out.count -= 8) {
        put((u8)out.bits);
        out.bits >>= 8;
    }
}

static void copy(u32 count) {
    while (count--) put(get());
}

/* ---- Huffman codes (RFC 1951, 3.2.2) ------------------------------------------------------------------- */

typedef struct {
    u16 fast[1 << FAST];  /* by the next bits: symbol << 4 | length; 0 where the code is longer, or none */
    u16 count[LONGEST + 1]; /* codes of each length */
    u16 symbols[288];     /* in the order of their codes */
    u16 code[288];        /* each symbol's, its first bit lowest */
    u8 length[288];       /* 0: the symbol has no code */
} Code;

static Code code_lengths, litlen, distances;

static u32 reversed(u32 code, u32 length) {
    u32 result = 0;
    while (length--) {
        result = result << 1 | (code & 1);
        code >>= 1;
    }
    return result;
}

/* Makes the tables of the lengths of the first symbols. */
static void build(Code *code, u32 symbols) {
    u16 offset[LONGEST + 2], next[LONGEST + 2];
    for (u32 length = 0; length <= LONGEST; length++) code->count[length] = 0;
    for (u32 symbol = 0; symbol < symbols; symbol++) code->count[code->length[symbol]]++;
    code->count[0] = 0;
    int left = 1;
    offset[1] = next[1] = 0;
    for (u32 length = 1; length <= LONGEST; length++) {
        left = (left << 1) - code->count[length];
        if (left < 0) fail(DAMAGED); /* more codes than there can be */
        offset[length + 1] = (u16)(offset[length] + code->count[length]);
        next[length + 1] = (u16)((next[length] + code->count[length]) << 1);
    }
    for (u32 index = 0; index < 1 << FAST; index++) code->fast[index] = 0;
    for (u32 symbol = 0; symbol < symbols; symbol++) {
        u32 length = code->length[symbol];
        if (!length) continue;
        code->symbols[offset[length]++] = (u16)symbol;
        u32 bits = code->code[symbol] = (u16)reversed(next[length]++, length);
        for (u32 index = bits; length <= FAST && index < 1 << FAST; index += 1u << length)
            code->fast[index] = (u16)(symbol << 4 | length);
    }
    for (u32 symbol = symbols; symbol < 288; symbol++) code->length[symbol] = 0;
}

static u32 decode(const Code *code) {
    want(LONGEST);
    u32 found = code->fast[peek(FAST)];
    if (found) {
        take(found & 15);
        return found >> 4;
    }
    int value = 0, first = 0, index = 0;
    for (u32 length = 1; length <= LONGEST; length++) {
        value |= (int)(in.bits >> (length - 1)) & 1;
        int count = code->count[length];
        if (value - count < first) {
            take(length);
            return code->symbols[index + value - first];
        }
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    fail(DAMAGED);
}

static void encode(const Code *code, u32 symbol) {
    if (!code->length[symbol]) fail(DAMAGED);
    put_bits(code->code[symbol], code->length[symbol]);
}

static void fixed_code(void) {
    for (u32 symbol = 0; symbol < 288; symbol++)
        litlen.length[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    for (u32 symbol = 0; symbol < 30; symbol++) distances.length[symbol] = 5;
    build(&litlen, 288);
    build(&distances, 30);
}

/* ---- lengths and distances (RFC 1951, 3.2.5) ------------------------------------------------------------ */

static const u16 LENGTH_BASE[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                  31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const u8 LENGTH_EXTRA[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const u16 DIST_BASE[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const u8 DIST_EXTRA[] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
static u8 length_symbol[259];     /* by length, from LENGTH_BASE */
static u8 short_distance[257];    /* by distance, up to 256 */
static u8 long_distance[256 + 1]; /* by (distance - 1) >> 7 */

static void index_symbols(void) {
    for (u32 symbol = 0; symbol < 29; symbol++)
        for (u32 length = LENGTH_BASE[symbol]; length <= 258; length++) length_symbol[length] = (u8)symbol;
    for (u32 symbol = 0; symbol < DIST; symbol++) {
        for (u32 distance = DIST_BASE[symbol]; distance <= 256; distance++) short_distance[distance] = (u8)symbol;
        for (u32 high = (DIST_BASE[symbol] - 1u) >> 7; high <= 256; high++) long_distance[high] = (u8)symbol;
    }
}

/* ---- parse ---------------------------------------------------------------------------------------------- */

static void parse_tokens(void) {
    u8 run[RUN];
    for (u32 count = 0;;) {
        u32 symbol = decode(&litlen);
        if (symbol < 256) {
            run[count++] = (u8)symbol;
            if (count < RUN) continue;
            put(RUN);
        } else if (symbol == 256) {
            put(END);
            put((u8)count);
        } else {
            put((u8)count);
        }
        for (u32 index = 0; index < count; index++) put(run[index]);
        count = 0;
        if (symbol < 256) continue;
        if (symbol == 256) return;
        if ((symbol -= 257) > 28) fail(DAMAGED);
        u32 length = LENGTH_BASE[symbol] + take(LENGTH_EXTRA[symbol]);
        u32 far = decode(&distances);
        u32 distance = DIST_BASE[far] + take(DIST_EXTRA[far]);
        put((u8)(length - 3));
        put16((distance - 1) | (length == 258 && symbol == 27 ? 0x8000 : 0));
    }
}

static const u8 ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
static const u8 REPEAT_BITS[3] = {2, 3, 7}, REPEAT_BASE[3] = {3, 3, 11};

/* Both ways of a dynamic block's codes: in from bits and out as bytes, or the other way about. */
static void dynamic_code(int parsing) {
    u32 hlit = take(parsing ? 5 : 8), hdist = take(parsing ? 5 : 8), hclen = take(parsing ? 4 : 8);
    if (hlit > LITLEN - 257 || hdist > DIST - 1 || hclen > 15) fail(DAMAGED);
    if (parsing) put((u8)hlit), put((u8)hdist), put((u8)hclen);
    else put_bits(hlit, 5), put_bits(hdist, 5), put_bits(hclen, 4);
    for (u32 index = 0; index < 19; index++) {
        u32 length = index < hclen + 4 ? take(parsing ? 3 : 8) : 0;
        if (length > 7) fail(DAMAGED);
        code_lengths.length[ORDER[index]] = (u8)length;
        if (index >= hclen + 4) continue;
        if (parsing) put((u8)length);
        else put_bits(length, 3);
    }
    build(&code_lengths, 19);
    u8 lengths[LITLEN + DIST];
    u32 wanted = hlit + 257 + hdist + 1, known = 0;
    while (known < wanted) {
        u32 symbol = parsing ? decode(&code_lengths) : get();
        if (symbol > 18 || (symbol == 16 && !known)) fail(DAMAGED);
        if (parsing) put((u8)symbol);
        else encode(&code_lengths, symbol);
        if (symbol < 16) {
            lengths[known++] = (u8)symbol;
            continue;
        }
        u32 bits = REPEAT_BITS[symbol - 16], extra = take(parsing ? bits : 8);
        if (extra >> bits) fail(DAMAGED);
        if (parsing) put((u8)extra);
        else put_bits(extra, bits);
        u8 again = symbol == 16 ? lengths[known - 1] : 0;
        for (u32 left = REPEAT_BASE[symbol - 16] + extra; left; left--) {
            if (known == wanted) fail(DAMAGED);
            lengths[known++] = again;
        }
    }
    for (u32 symbol = 0; symbol < hlit + 257; symbol++) litlen.length[symbol] = lengths[symbol];
    for (u32 symbol = 0; symbol <= hdist; symbol++) distances.length[symbol] = lengths[hlit + 257 + symbol];
    build(&litlen, hlit + 257);
    build(&distances, hdist + 1);
}

static void parse_blocks(void) {
    for (u32 last = 0; !last;) {
        last = take(1);
        switch (take(2)) {
        case 0: {
            u32 padding = take(in.count & 7), length = get16();
            if (get16() != (length ^ 0xffff)) fail(DAMAGED);
            put('S'), put((u8)(padding << 1 | last)), put16(length);
            copy(length);
            break;
        }
        case 1:
            put('F'), put((u8)last);
            fixed_code();
            parse_tokens();
            break;
        case 2:
            put('D'), put((u8)last);
            dynamic_code(1);
            parse_tokens();
            break;
        default: fail(DAMAGED);
        }
    }
    u32 padding = take(in.count & 7);
    put('T'), put((u8)padding);
    copy(8);
}

/* A member's header (RFC 1952, 2.3), whose end only its own fields tell. */
static u8 header[IO];

static u8 head(u32 *length) {
    if (*length == IO - 1) fail(DAMAGED);
    return header[(*length)++] = get();
}

static void parse_header(void) {
    u32 length = 2; /* its first two bytes have been read */
    while (length < 10) head(&length);
    u8 flags = header[3];
    if (header[2] != 8 || flags & 0xe0) fail(DAMAGED);
    if (flags & 4) {
        u32 extra = head(&length);
        for (extra |= (u32)head(&length) << 8; extra; extra--) head(&length);
    }
    if (flags & 8) while (head(&length)) {}
    if (flags & 16) while (head(&length)) {}
    if (flags & 2) head(&length), head(&length);
    put('M'), put16(length);
    for (u32 index = 0; index < length; index++) put(header[index]);
}

static void parse(void) {
    const char *magic = "gzt1";
    while (*magic) put((u8)*magic++);
    for (int members = 0; more(); members++) {
        header[0] = get();
        u32 length = 1;
        if (more()) header[length++] = get();
        if (length == 2 && header[0] == 0x1f && header[1] == 0x8b) {
            parse_header();
            parse_blocks();
            continue;
        }
        if (!members) fail(DAMAGED);
        for (; length; length = 0) {
            while (length < IO - 1 && more()) header[length++] = get();
            put('R'), put16(length);
            for (u32 index = 0; index < length; index++) put(header[index]);
        }
    }
}

/* ---- encode --------------------------------------------------------------------------------------------- */

static void encode_literals(u32 count) {
    while (count--) encode(&litlen, get());
}

static void encode_tokens(void) {
    for (;;) {
        u32 count = get();
        if (count == END) {
            if ((count = get()) >= RUN) fail(DAMAGED);
            encode_literals(count);
            encode(&litlen, 256);
            return;
        }
        if (count > RUN) fail(DAMAGED);
        encode_literals(count);
        if (count == RUN) continue;
        u32 length = get() + 3u, distance = get16(), symbol = length_symbol[length];
        if (distance & 0x8000) {
            if (length != 258) fail(DAMAGED);
            symbol = 27;
        }
        distance = (distance & 0x7fff) + 1;
        encode(&litlen, 257 + symbol);
        put_bits(length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol]);
        u32 far = distance <= 256 ? short_distance[distance] : long_distance[(distance - 1) >> 7];
        encode(&distances, far);
        put_bits(distance - DIST_BASE[far], DIST_EXTRA[far]);
    }
}

/* Whole bytes again, by these bits of padding. */
static void pad(u32 padding) {
    u32 count = (8 - out.count) & 7;
    if (padding >> count) fail(DAMAGED);
    put_bits(padding, count);
}

static void encode_record(u8 kind) {
    u32 flags, length;
    switch (kind) {
    case 'M':
    case 'R':
        copy(get16());
        return;
    case 'S':
        flags = get();
        put_bits(flags & 1, 3);
        pad(flags >> 1);
        length = get16();
        put16(length), put16(length ^ 0xffff);
        copy(length);
        return;
    case 'F':
        put_bits((get() & 1u) | 1u << 1, 3);
        fixed_code();
        encode_tokens();
        return;
    case 'D':
        put_bits((get() & 1u) | 2u << 1, 3);
        dynamic_code(0);
        encode_tokens();
        return;
    case 'T':
        pad(get());
        copy(8);
        return;
    default: fail(DAMAGED);
    }
}

static void encode_all(void) {
    const char *magic = "gzt1";
    while (*magic) if (get() != (u8)*magic++) fail(DAMAGED);
    index_symbols();
    while (more()) {
        u8 kind = get();
        if (out.count && (kind == 'M' || kind == 'R')) fail(DAMAGED); /* a member that has not ended */
        encode_record(kind);
    }
    if (out.count) fail(DAMAGED);
}

/* ---- the program ---------------------------------------------------------------------------------------- */

static int same(const char *one, const char *other) {
    while (*one && *one == *other) one++, other++;
    return *one == *other;
}

static void run(long argc, char **argv) __attribute__((noreturn, unused));
static void run(long argc, char **argv) {
    if (argc != 2) fail(USAGE);
    if (same(argv[1], "parse")) parse();
    else if (same(argv[1], "encode")) encode_all();
    else fail(USAGE);
    flush();
    fail(0);
}

#ifndef FUZZ
__attribute__((used, noreturn)) void begin(long *stack) {
    confine();
    run(stack[0], (char **)(stack + 1));
}
#endif

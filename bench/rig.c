/*
 * rig.c: the two ends of the benchmark, a backend and its clients, in one program that needs
 * nothing but Linux and a C compiler.
 *
 *     rig upstream                  a backend on a free port of 127.0.0.1, which it prints
 *     rig load --port N [...]       clients that ask, check every answer, and time it
 *
 * What the backend shall answer stands in the text of the request itself, so that it survives
 * any proxy between the two:
 *
 *     bench answer=760 events=0 every=0 pad=850:0123456789abcd...
 *
 * that is, an answer with 760 characters of text; or, where `events` is not 0, a stream of so
 * many events, `every` microseconds apart (0: as fast as they go); and `pad` characters of
 * filling, which the backend checks.  All text is the same sequence of 36 characters over and
 * over, so that a lost, added or changed byte is seen.  The text of an event begins with its
 * number and the moment it was made, by a clock that both ends share; so its way is timed.
 *
 * The load is a closed loop: each of C connections asks again once it has its answer, until
 * so many requests were sent or so many seconds are over.  With `--ramp` the connections begin
 * one after the other.  The result is one line of JSON; `"errors"` above 0 voids it.  When all
 * connections have their first event, a line `open` says so.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <signal.h>

enum { LONGEST = 16 << 20, AT_ONCE = 256, EVENT_FILL = 38, GRACE = 20 };

static char filling[LONGEST + 1];

/* ---- Small things -------------------------------------------------------------------- */

static void die(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    fputs("rig: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    va_end(words);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *room(void *old, size_t size)
{
    void *fresh = realloc(old, size);
    if (!fresh)
        die("out of memory");
    return fresh;
}

static void prepare_process(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < LONGEST; i++)
        filling[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[i % 36];
}

/* Bytes that are added at the end and taken from the front. */
struct bytes {
    char *data;
    size_t taken, used, size;
};

static size_t left(const struct bytes *b) { return b->used - b->taken; }
static char *front(const struct bytes *b) { return b->data + b->taken; }

static void take(struct bytes *b, size_t count)
{
    b->taken += count;
    if (b->taken == b->used)
        b->taken = b->used = 0;
}

static void reserve(struct bytes *b, size_t count)
{
    if (b->taken && b->used + count > b->size) {
        memmove(b->data, front(b), left(b));
        b->used -= b->taken;
        b->taken = 0;
    }
    if (b->used + count > b->size) {
        b->size = (b->used + count) * 2;
        b->data = room(b->data, b->size);
    }
}

static void add(struct bytes *b, const void *data, size_t count)
{
    reserve(b, count);
    memcpy(b->data + b->used, data, count);
    b->used += count;
}

static void add_text(struct bytes *b, const char *format, ...)
{
    char line[1024];
    va_list words;
    va_start(words, format);
    int count = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    if (count < 0 || count >= (int)sizeof line)
        die("a line is too long");
    add(b, line, (size_t)count);
}

static void drop(struct bytes *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

/* ---- HTTP, read piece by piece: requests by the backend, answers by the clients -------- */

enum stage { HEAD, COUNTED, UNTIL_CLOSE, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, WHOLE, BROKEN };

struct reader {
    enum stage stage;
    bool is_answer, closes;
    int status;
    size_t wanted;
    struct bytes raw, body;
};

static void reader_again(struct reader *r)
{
    r->stage = HEAD;
    r->closes = false;
    take(&r->body, left(&r->body));
}

/* The value of a field in a head that ends with a NUL, or NULL. */
static const char *field(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " \t");
    return NULL;
}

static void read_framing(struct reader *r, const char *head)
{
    const char *length = field(head, "content-length");
    const char *coding = field(head, "transfer-encoding");
    const char *connection = field(head, "connection");
    r->closes = (connection && !strncasecmp(connection, "close", 5)) ||
                (r->is_answer && !strncmp(head, "HTTP/1.0", 8));
    if (coding && !strncasecmp(coding, "chunked", 7))
        r->stage = CHUNK_SIZE;
    else if (length)
        r->stage = (r->wanted = strtoull(length, NULL, 10)) ? COUNTED : WHOLE;
    else
        r->stage = r->is_answer ? UNTIL_CLOSE : WHOLE;
    r->closes = r->closes || r->stage == UNTIL_CLOSE;
}

static bool read_head(struct reader *r)
{
    char *head = front(&r->raw), *end = memmem(head, left(&r->raw), "\r\n\r\n", 4);
    if (!end)
        return false;
    end[2] = 0;
    r->status = r->is_answer && strlen(head) > 12 ? atoi(head + 9) : 0;
    if (r->status != 100)
        read_framing(r, head);
    take(&r->raw, (size_t)(end + 4 - head));
    return true;
}

static bool read_body(struct reader *r, enum stage next)
{
    size_t count = left(&r->raw);
    if (r->stage != UNTIL_CLOSE && count > r->wanted)
        count = r->wanted;
    if (!count)
        return false;
    add(&r->body, front(&r->raw), count);
    take(&r->raw, count);
    r->wanted -= r->stage == UNTIL_CLOSE ? 0 : count;
    if (r->stage != UNTIL_CLOSE && !r->wanted)
        r->stage = next;
    return true;
}

/* One line of the framing of chunks: a size, the end of a chunk, or a trailer. */
static bool read_line(struct reader *r)
{
    char *line = front(&r->raw), *end = memmem(line, left(&r->raw), "\r\n", 2);
    if (!end)
        return false;
    *end = 0;
    if (r->stage == CHUNK_SIZE)
        r->stage = (r->wanted = strtoull(line, NULL, 16)) ? CHUNK : TRAILER;
    else if (r->stage == CHUNK_END)
        r->stage = end == line ? CHUNK_SIZE : BROKEN;
    else if (end == line)
        r->stage = WHOLE;
    take(&r->raw, (size_t)(end + 2 - line));
    return true;
}

static bool read_piece(struct reader *r)
{
    switch (r->stage) {
    case HEAD:
        return read_head(r);
    case COUNTED:
    case UNTIL_CLOSE:
        return read_body(r, WHOLE);
    case CHUNK:
        return read_body(r, CHUNK_END);
    case CHUNK_SIZE:
    case CHUNK_END:
    case TRAILER:
        return read_line(r);
    default:
        return false;
    }
}

/* What the socket has, taken apart as far as it goes.  False at the end of the connection. */
static bool reader_fill(struct reader *r, int socket)
{
    reserve(&r->raw, 65536);
    ssize_t count = recv(socket, r->raw.data + r->raw.used, 65536, 0);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    r->raw.used += (size_t)count;
    while (read_piece(r))
        ;
    if (!count && r->stage == UNTIL_CLOSE)
        r->stage = WHOLE;
    return count > 0;
}

/* ---- Sockets --------------------------------------------------------------------------- */

static int poller(void)
{
    int fd = epoll_create1(0);
    if (fd < 0)
        die("epoll: %s", strerror(errno));
    return fd;
}

static void watch(int epoll, int how, int fd, uint32_t events, void *whose)
{
    struct epoll_event event = {.events = events, .data.ptr = whose};
    if (epoll_ctl(epoll, how, fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void send_at_once(int socket)
{
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* ---- The backend ------------------------------------------------------------------------ */

struct plan {
    unsigned answer, events, every, pad;
};

enum pace { NO_STREAM, FLAT_OUT, PACED };

struct visitor {
    int socket;
    struct reader reader;
    struct bytes out;
    bool blocked;
    enum pace pace;
    struct plan plan;
    unsigned sent;
    int64_t due;
    TAILQ_ENTRY(visitor) entry;
};

TAILQ_HEAD(queue, visitor);

struct backend {
    int epoll, listener, timer;
    struct queue flat, paced;
};

static void enqueue(struct backend *b, struct visitor *v)
{
    struct visitor *before = TAILQ_LAST(&b->paced, queue);
    while (before && before->due > v->due)
        before = TAILQ_PREV(before, queue, entry);
    if (before)
        TAILQ_INSERT_AFTER(&b->paced, before, v, entry);
    else
        TAILQ_INSERT_HEAD(&b->paced, v, entry);
}

static void dequeue(struct backend *b, struct visitor *v)
{
    if (v->pace == PACED)
        TAILQ_REMOVE(&b->paced, v, entry);
    else if (v->pace == FLAT_OUT && !v->blocked)
        TAILQ_REMOVE(&b->flat, v, entry);
}

static void part_with(struct backend *b, struct visitor *v)
{
    dequeue(b, v);
    close(v->socket);
    drop(&v->reader.raw);
    drop(&v->reader.body);
    drop(&v->out);
    free(v);
}

/* False where the visitor is gone. */
static bool flush(struct backend *b, struct visitor *v)
{
    ssize_t count = left(&v->out) ? send(v->socket, front(&v->out), left(&v->out), 0) : 0;
    if (count < 0 && errno != EAGAIN)
        return false;
    take(&v->out, count > 0 ? (size_t)count : 0);
    bool blocked = left(&v->out) > 0;
    if (blocked == v->blocked)
        return true;
    watch(b->epoll, EPOLL_CTL_MOD, v->socket, EPOLLIN | (blocked ? EPOLLOUT : 0), v);
    if (v->pace == FLAT_OUT && blocked)
        TAILQ_REMOVE(&b->flat, v, entry);
    if (v->pace == FLAT_OUT && !blocked)
        TAILQ_INSERT_TAIL(&b->flat, v, entry);
    v->blocked = blocked;
    return true;
}

static void add_whole(struct visitor *v, int status, const char *before, size_t text,
                      const char *behind)
{
    add_text(&v->out,
             "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             status, status == 200 ? "OK" : "Bad Request",
             strlen(before) + text + strlen(behind));
    add(&v->out, before, strlen(before));
    add(&v->out, filling, text);
    add(&v->out, behind, strlen(behind));
}

static void add_answer(struct visitor *v)
{
    add_whole(v, 200,
              "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,"
              "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
              "\"content\":\"",
              v->plan.answer,
              "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,"
              "\"completion_tokens\":10,\"total_tokens\":20}}");
}

static void add_chunk(struct bytes *out, const char *data, int count)
{
    add_text(out, "%x\r\n", count);
    add(out, data, (size_t)count);
    add(out, "\r\n", 2);
}

#define EVENT                                                                                   \
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","                    \
    "\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":"

static void add_event(struct visitor *v)
{
    char event[512];
    int count = snprintf(event, sizeof event,
                         EVENT "{\"content\":\"%06u %016llx %.*s\"},\"finish_reason\":null}]}\n\n",
                         v->sent, (unsigned long long)now_ns(), EVENT_FILL, filling);
    add_chunk(&v->out, event, count);
    v->sent++;
}

static void add_ending(struct visitor *v)
{
    static const char last[] = EVENT "{},\"finish_reason\":\"stop\"}]}\n\n";
    static const char done[] = "data: [DONE]\n\n";
    add_chunk(&v->out, last, sizeof last - 1);
    add_chunk(&v->out, done, sizeof done - 1);
    add(&v->out, "0\r\n\r\n", 5);
}

/* The next event, and behind the last the end.  False where the visitor is gone. */
static bool next_event(struct backend *b, struct visitor *v)
{
    add_event(v);
    if (v->sent == v->plan.events) {
        add_ending(v);
        dequeue(b, v);
        v->pace = NO_STREAM;
    }
    return flush(b, v);
}

static void begin_stream(struct backend *b, struct visitor *v)
{
    add_text(&v->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    v->sent = 0;
    v->pace = v->plan.every ? PACED : FLAT_OUT;
    v->due = now_ns();
    if (v->pace == PACED)
        enqueue(b, v);
    else if (!v->blocked)
        TAILQ_INSERT_TAIL(&b->flat, v, entry);
}

static bool understand(struct visitor *v)
{
    struct bytes *body = &v->reader.body;
    struct plan *p = &v->plan;
    add(body, "", 1);
    char *text = strstr(front(body), "bench answer=");
    int at = 0;
    if (!text || sscanf(text, "bench answer=%u events=%u every=%u pad=%u:%n", &p->answer,
                        &p->events, &p->every, &p->pad, &at) < 4 || !at)
        return false;
    size_t rest = left(body) - (size_t)(text + at - front(body));
    return p->answer <= LONGEST && p->pad <= LONGEST && p->pad + 1 < rest &&
           !memcmp(text + at, filling, p->pad) && text[at + p->pad] == '"';
}

static bool answer(struct backend *b, struct visitor *v)
{
    bool asked = left(&v->reader.body) > 0;
    if (!asked)
        add_whole(v, 200, "{\"object\":\"list\",\"data\":[{\"id\":\"bench\"}]}", 0, "");
    else if (!understand(v))
        add_whole(v, 400, "{\"error\":{\"message\":\"the request came damaged\"}}", 0, "");
    else if (v->plan.events)
        begin_stream(b, v);
    else
        add_answer(v);
    reader_again(&v->reader);
    return v->pace != NO_STREAM || flush(b, v);
}

static void visited(struct backend *b, struct visitor *v, uint32_t events)
{
    bool stays = !(events & EPOLLOUT) || flush(b, v);
    if (stays && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        stays = reader_fill(&v->reader, v->socket);
    if (stays && v->reader.stage == WHOLE)
        stays = answer(b, v);
    if (!stays || v->reader.stage == BROKEN)
        part_with(b, v);
}

static void welcome(struct backend *b)
{
    int socket;
    while ((socket = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct visitor *v = room(NULL, sizeof *v);
        memset(v, 0, sizeof *v);
        v->socket = socket;
        send_at_once(socket);
        watch(b->epoll, EPOLL_CTL_ADD, socket, EPOLLIN, v);
    }
}

/* One event for each stream that goes flat out, in turn: none waits for another's. */
static void serve_flat(struct backend *b)
{
    struct visitor *v, *next, *last = TAILQ_LAST(&b->flat, queue);
    for (v = TAILQ_FIRST(&b->flat); v; v = next) {
        next = v == last ? NULL : TAILQ_NEXT(v, entry);
        if (!next_event(b, v))
            part_with(b, v);
    }
}

static void serve_paced(struct backend *b)
{
    int64_t now = now_ns();
    struct visitor *v;
    while ((v = TAILQ_FIRST(&b->paced)) && v->due <= now) {
        TAILQ_REMOVE(&b->paced, v, entry);
        v->due += (int64_t)v->plan.every * 1000;
        enqueue(b, v);
        if (!next_event(b, v))
            part_with(b, v);
    }
}

/* The timer stands at the next event that is due; one in the past fires at once. */
static void set_timer(struct backend *b)
{
    struct visitor *v = TAILQ_FIRST(&b->paced);
    struct itimerspec at = {{0, 0}, {0, 0}};
    if (v) {
        at.it_value.tv_sec = v->due / 1000000000;
        at.it_value.tv_nsec = v->due % 1000000000;
    }
    timerfd_settime(b->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (void *)&address, length) || listen(fd, 4096) ||
        getsockname(fd, (void *)&address, &length))
        die("cannot listen on 127.0.0.1: %s", strerror(errno));
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void backend_turn(struct backend *b)
{
    struct epoll_event events[AT_ONCE];
    int count = epoll_wait(b->epoll, events, AT_ONCE, TAILQ_EMPTY(&b->flat) ? -1 : 0);
    for (int i = 0; i < count; i++) {
        uint64_t fired;
        if (events[i].data.ptr == &b->listener)
            welcome(b);
        else if (events[i].data.ptr == &b->timer)
            (void)!read(b->timer, &fired, sizeof fired);
        else
            visited(b, events[i].data.ptr, events[i].events);
    }
    serve_flat(b);
    serve_paced(b);
    set_timer(b);
}

static _Noreturn void upstream(void)
{
    struct backend b = {.epoll = poller(), .timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)};
    TAILQ_INIT(&b.flat);
    TAILQ_INIT(&b.paced);
    b.listener = listen_somewhere();
    watch(b.epoll, EPOLL_CTL_ADD, b.listener, EPOLLIN, &b.listener);
    watch(b.epoll, EPOLL_CTL_ADD, b.timer, EPOLLIN, &b.timer);
    for (;;)
        backend_turn(&b);
}

/* ---- Figures ---------------------------------------------------------------------------- */

struct figures {
    int64_t *all;
    size_t count, size;
};

static void note(struct figures *f, int64_t value)
{
    if (f->count == f->size) {
        f->size = f->size ? f->size * 2 : 4096;
        f->all = room(f->all, f->size * sizeof *f->all);
    }
    f->all[f->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double at_share(const struct figures *f, double share)
{
    return f->count ? f->all[(size_t)((double)(f->count - 1) * share)] / 1e6 : 0;
}

static void print_figures(const char *name, struct figures *f)
{
    qsort(f->all, f->count, sizeof *f->all, by_value);
    printf(", \"%s\": {\"count\": %zu, \"p50\": %.4f, \"p99\": %.4f, \"max\": %.4f}", name,
           f->count, at_share(f, 0.5), at_share(f, 0.99), at_share(f, 1));
}

/* ---- The clients ------------------------------------------------------------------------ */

struct load {
    int epoll, port;
    unsigned connections, answer, events, every, pad;
    size_t requests;
    double seconds, ramp;
    const char *path, *model;
    struct bytes fields, request;
    size_t begun, ended, whole, errors, opened, told;
    uint64_t seen;
    int64_t start, stop, last;
    char trouble[400];
    struct figures latency, first, late;
};

struct client {
    int socket;
    struct reader reader;
    size_t number, written;
    bool waits, asks, finished, done, reused;
    unsigned seen;
    int64_t asked;
    const char *wrong;
};

static void complain(struct load *l, const char *what, const struct reader *r)
{
    if (!l->errors++)
        snprintf(l->trouble, sizeof l->trouble, "%s (status %d: %.*s)", what, r->status,
                 (int)(left(&r->body) < 200 ? left(&r->body) : 200),
                 left(&r->body) ? front(&r->body) : "");
}

static void make_request(struct load *l)
{
    struct bytes body = {0}, *r = &l->request;
    add_text(&body, "{\"model\":\"%s\",%s\"messages\":[{\"role\":\"user\",\"content\":\"", l->model,
             l->events ? "\"stream\":true," : "");
    add_text(&body, "bench answer=%u events=%u every=%u pad=%u:", l->answer, l->events, l->every,
             l->pad);
    add(&body, filling, l->pad);
    add_text(&body, "\"}]}");
    add_text(r, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                "Accept: */*\r\n", l->path, l->port);
    if (left(&l->fields))
        add(r, front(&l->fields), left(&l->fields));
    add_text(r, "Content-Length: %zu\r\n\r\n", left(&body));
    add(r, front(&body), left(&body));
    drop(&body);
}

static void hang_up(struct client *c)
{
    if (c->socket >= 0)
        close(c->socket);
    c->socket = -1;
}

static void dial(struct load *l, struct client *c)
{
    struct sockaddr_in address = loopback(l->port);
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->socket < 0)
        die("socket: %s", strerror(errno));
    send_at_once(c->socket);
    if (connect(c->socket, (void *)&address, sizeof address) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    c->reader.raw.taken = c->reader.raw.used = 0;
    c->reused = false;
    c->waits = true;
    watch(l->epoll, EPOLL_CTL_ADD, c->socket, EPOLLIN | EPOLLOUT, c);
}

/* False where the connection is broken. */
static bool write_request(struct load *l, struct client *c)
{
    ssize_t count = send(c->socket, front(&l->request) + c->written,
                         left(&l->request) - c->written, 0);
    if (count < 0 && errno != EAGAIN)
        return false;
    c->written += count > 0 ? (size_t)count : 0;
    bool waits = c->written < left(&l->request);
    if (waits != c->waits)
        watch(l->epoll, EPOLL_CTL_MOD, c->socket, EPOLLIN | (waits ? EPOLLOUT : 0), c);
    c->waits = waits;
    return true;
}

static bool is_over(const struct load *l, int64_t now)
{
    return l->begun >= l->requests || now >= l->stop;
}

static void ask(struct load *l, struct client *c)
{
    int64_t now = now_ns();
    c->asks = !is_over(l, now);
    if (!c->asks)
        return hang_up(c);
    c->asked = now;
    c->number = l->begun++;
    c->written = c->seen = 0;
    c->finished = c->done = false;
    c->wrong = NULL;
    reader_again(&c->reader);
    if (c->socket < 0)
        dial(l, c);
    else
        write_request(l, c);
}

/* The text behind `"content":`, or NULL where there is none; blanks are a proxy's to add. */
static char *content(char *json)
{
    char *at = strstr(json, "\"content\"");
    if (!at)
        return NULL;
    at += 9;
    at += strspn(at, " :");
    return *at == '"' && at[1] != '"' ? at + 1 : NULL;
}

static void note_event(struct load *l, struct client *c, int64_t made, int64_t now)
{
    note(&l->late, now - made);
    l->seen++;
    if (c->seen++)
        return;
    if (!l->ramp || c->number >= l->requests / 2)
        note(&l->first, now - c->asked);
    l->opened++;
}

static void hear_event(struct load *l, struct client *c, char *text, int64_t now)
{
    unsigned number;
    unsigned long long made;
    int at = 0;
    if (sscanf(text, "%6u %16llx %n", &number, &made, &at) != 2 || number != c->seen)
        c->wrong = "an event is missing or out of order";
    else if (memcmp(text + at, filling, EVENT_FILL) || text[at + EVENT_FILL] != '"')
        c->wrong = "the text of an event is not what was sent";
    else
        note_event(l, c, (int64_t)made, now);
}

static void hear_line(struct load *l, struct client *c, char *line, int64_t now)
{
    if (strncmp(line, "data:", 5))
        return;
    char *text = content(line);
    if (text)
        hear_event(l, c, text, now);
    else if (strstr(line, "[DONE]"))
        c->done = true;
    if (strstr(line, "\"finish_reason\":\"stop\"") || strstr(line, "\"finish_reason\": \"stop\""))
        c->finished = true;
}

static void hear_lines(struct load *l, struct client *c, int64_t now)
{
    struct bytes *body = &c->reader.body;
    char *end;
    while (left(body) && (end = memchr(front(body), '\n', left(body)))) {
        *end = 0;
        hear_line(l, c, front(body), now);
        take(body, (size_t)(end + 1 - front(body)));
    }
}

static const char *whole_text(struct load *l, struct reader *r)
{
    add(&r->body, "", 1);
    char *text = content(front(&r->body));
    size_t rest = text ? left(&r->body) - (size_t)(text - front(&r->body)) : 0;
    if (rest <= l->answer + 1)
        return "an answer is too short";
    if (memcmp(text, filling, l->answer) || text[l->answer] != '"')
        return "the text of an answer is not what was sent";
    return NULL;
}

/* What is wrong with an answer that ended, or NULL. */
static const char *verdict(struct load *l, struct client *c)
{
    if (c->reader.status != 200)
        return "an answer is not 200";
    if (c->wrong)
        return c->wrong;
    if (!l->events)
        return whole_text(l, &c->reader);
    if (c->seen != l->events)
        return "a stream is too short";
    return c->finished && c->done ? NULL : "a stream has no finish_reason or no [DONE]";
}

static void end_of(struct load *l, struct client *c, const char *wrong)
{
    l->last = now_ns();
    l->ended++;
    c->asks = false;
    if (wrong)
        complain(l, wrong, &c->reader);
    else
        l->whole++, note(&l->latency, l->last - c->asked);
    c->reused = true;
    if (wrong || c->reader.closes)
        hang_up(c);
    ask(l, c);
}

/* A proxy may close a connection that it kept; then the request goes once more, on a new one. */
static void broke(struct load *l, struct client *c, const char *when)
{
    bool untouched = c->reader.stage == HEAD && !left(&c->reader.raw);
    if (!c->reused || !untouched)
        return end_of(l, c, when);
    hang_up(c);
    c->written = 0;
    dial(l, c);
}

static void answered(struct load *l, struct client *c, uint32_t events)
{
    if (!c->asks)
        return hang_up(c);
    if (events & EPOLLOUT && !write_request(l, c))
        return broke(l, c, "the connection broke while asking");
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    bool open = reader_fill(&c->reader, c->socket);
    if (l->events && c->reader.status == 200)
        hear_lines(l, c, now_ns());
    if (c->reader.stage == WHOLE)
        end_of(l, c, verdict(l, c));
    else if (!open || c->reader.stage == BROKEN)
        broke(l, c, "the connection broke before the end of the answer");
}

static void tell_when_open(struct load *l)
{
    if (l->told || !l->events || l->opened < l->connections)
        return;
    l->told = 1;
    puts("open");
    fflush(stdout);
}

static size_t begin_due(struct load *l, struct client *clients, size_t begun)
{
    double gone = (now_ns() - l->start) / 1e9;
    double due = l->ramp ? gone / l->ramp * l->connections + 1 : l->connections;
    for (; begun < l->connections && begun < due; begun++)
        ask(l, &clients[begun]);
    return begun;
}

static void run(struct load *l, struct client *clients)
{
    struct epoll_event events[AT_ONCE];
    size_t begun = 0;
    int64_t patience = l->stop + (int64_t)GRACE * 1000000000;
    l->start = l->last = now_ns();
    while ((begun < l->connections || l->ended < l->begun) && now_ns() < patience) {
        begun = begin_due(l, clients, begun);
        int wait = begun < l->connections ? 1 : 100;
        int count = epoll_wait(l->epoll, events, AT_ONCE, wait);
        for (int i = 0; i < count; i++)
            answered(l, events[i].data.ptr, events[i].events);
        tell_when_open(l);
    }
    for (unsigned i = 0; i < l->connections; i++)
        if (clients[i].asks)
            complain(l, "no end of an answer in time", &clients[i].reader);
}

static void print_trouble(const char *text)
{
    printf(", \"trouble\": \"");
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == '"' || *text == '\\')
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    putchar('"');
}

static void report(struct load *l)
{
    printf("{\"requests\": %zu, \"errors\": %zu, \"events\": %llu, \"seconds\": %.6f", l->whole,
           l->errors, (unsigned long long)l->seen, (l->last - l->start) / 1e9);
    print_trouble(l->trouble);
    print_figures("latency", &l->latency);
    print_figures("first", &l->first);
    print_figures("late", &l->late);
    puts("}");
}

static bool option(struct load *l, const char *name, const char *value)
{
    struct { const char *name; unsigned *where; } numbers[] = {
        {"--connections", &l->connections}, {"--answer", &l->answer}, {"--events", &l->events},
        {"--every", &l->every}, {"--pad", &l->pad}, {"--port", (unsigned *)&l->port},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(name, numbers[i].name))
            return *numbers[i].where = (unsigned)strtoul(value, NULL, 10), true;
    if (!strcmp(name, "--requests"))
        l->requests = strtoull(value, NULL, 10);
    else if (!strcmp(name, "--seconds"))
        l->seconds = atof(value);
    else if (!strcmp(name, "--ramp"))
        l->ramp = atof(value);
    else if (!strcmp(name, "--path"))
        l->path = value;
    else if (!strcmp(name, "--model"))
        l->model = value;
    else if (!strcmp(name, "--header"))
        add_text(&l->fields, "%s\r\n", value);
    else
        return false;
    return true;
}

static int load(int count, char **words)
{
    struct load l = {.connections = 1, .answer = 760, .pad = 850, .requests = SIZE_MAX,
                     .seconds = 1, .path = "/v1/chat/completions", .model = "bench"};
    for (int i = 0; i < count; i += 2)
        if (i + 1 >= count || !option(&l, words[i], words[i + 1]))
            die("an unknown option, or one without its value: %s", words[i]);
    if (!l.port || !l.connections || l.answer > LONGEST || l.pad > LONGEST)
        die("--port is needed; --connections is at least 1; --answer and --pad at most %d", LONGEST);
    struct client *clients = calloc(l.connections, sizeof *clients);
    if (!clients)
        die("out of memory");
    for (unsigned i = 0; i < l.connections; i++)
        clients[i].socket = -1, clients[i].reader.is_answer = true;
    make_request(&l);
    l.epoll = poller();
    l.stop = now_ns() + (int64_t)(l.seconds * 1e9);
    run(&l, clients);
    report(&l);
    return 0;
}

int main(int count, char **words)
{
    prepare_process();
    if (count == 2 && !strcmp(words[1], "upstream"))
        upstream();
    if (count > 2 && !strcmp(words[1], "load"))
        return load(count - 2, words + 2);
    die("usage: rig upstream | rig load --port N [--option value ...]");
}

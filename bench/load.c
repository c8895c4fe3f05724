/*
 * load: HTTP(S) requests of clients, each over a new connection, with a source address of its own.
 *
 * The first argument's file has a line for each client: its key, the address that its name has now, and its name. After
 * the run, it holds the last acknowledged addresses. A request either repeats the address, and must be answered
 * UPTODATE, or takes the next one, and must be answered OK; anything else is a wrong answer, and the run a failure. No
 * client asks twice at a time: then the order of the answers would not tell the winner.
 *
 * `-w` is the way on which key and address come. On the direct one the connection comes from the address. On the others
 * it comes from one that is no client's, as a proxy's or a far-off script's would: an answer is right only if the
 * server took the address from the request.
 *
 * Closed loop: `-c` connections, each followed by the next at once. With `-r`, requests start at a fixed rate instead,
 * and latency counts from the moment at which a request was due. Prints one JSON object, also when SIGTERM ends it early.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { KEY_SIZE = 64, NAME_SIZE = 64, EXPECTED_SIZE = 64, BUFFER_SIZE = 1024, EVENTS = 256, PATIENCE = 30000 /* ms without any event */ };

enum way { DIRECT, PARAMETER, PROXY, DYNDNS2, WAYS };
static const char *const way_names[WAYS] = {"direct", "parameter", "proxy", "dyndns2"};

struct client {
    char key[KEY_SIZE], name[NAME_SIZE];
    uint32_t address; /* the last acknowledged; 0: the kernel chooses */
    bool busy;
};

struct connection {
    int fd;
    SSL *tls; /* NULL: plain HTTP */
    struct client *client;
    uint32_t wanted;
    int64_t due; /* ns */
    bool sent;
    int length; /* of what is in the buffer: first the request, then the answer */
    char buffer[BUFFER_SIZE];
};

static struct {
    const char *file;
    struct sockaddr_in server;
    int connections;
    long requests;    /* at most */
    double seconds;   /* no request starts later */
    double rate;      /* requests per second; 0: closed loop */
    int changes;      /* in a thousand requests */
    enum way way;
    int quiet_rounds; /* > 0, a storm: all names change at once, then so many rounds change none, again and again */
    const char *body; /* the one right answer, if it is neither OK nor UPTODATE */
    SSL_CTX *tls;
} options = {.connections = 1, .requests = LONG_MAX, .seconds = 1e6, .changes = 1000};

static struct client *clients;
static long client_count, next_client;
static struct connection *connections, **idle;
static int idle_count;
static int epoll, timer;
static volatile sig_atomic_t ended; /* by SIGTERM */
static long started, ok, uptodate, wrong;
static int64_t time_is_up; /* ns */
static long in_time;       /* answers until then */
static uint32_t *latencies; /* µs */
static long latency_room;

static void die(const char *what) {
    perror(what);
    exit(2);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* xorshift: which requests of a mixed load are changes must have no pattern in common with the names. */
static uint32_t dice(void) {
    static uint32_t x = 2463534242;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

/* Addresses count up inside 127.0.0.0/8, all of which is this machine's. */
static uint32_t next_address(uint32_t address) { return 127u << 24 | ((address + 1) & 0xffffff); }

/* What a request for this address comes from: clients have the lower half of 127.0.0.0/8, proxies the upper one. */
static uint32_t source_of(uint32_t address) { return options.way == DIRECT ? address : address | 1 << 23; }

static void read_clients(void) {
    FILE *file = fopen(options.file, "r");
    if (!file) die(options.file);
    char key[KEY_SIZE], address[16], name[NAME_SIZE];
    for (long room = 0; fscanf(file, "%63s %15s %63s", key, address, name) == 3; client_count++) {
        if (client_count == room) {
            room = room ? 2 * room : 1024;
            clients = realloc(clients, room * sizeof *clients);
            if (!clients) die("realloc");
        }
        struct client *client = &clients[client_count];
        memset(client, 0, sizeof *client);
        if (strcmp(key, "-")) strcpy(client->key, key);
        strcpy(client->name, name);
        client->address = strcmp(address, "-") ? ntohl(inet_addr(address)) : 0;
    }
    fclose(file);
    if (!client_count) {
        fprintf(stderr, "%s: no clients\n", options.file);
        exit(2);
    }
}

static void write_clients(void) {
    FILE *file = fopen(options.file, "w");
    if (!file) die(options.file);
    for (long i = 0; i < client_count; i++) {
        struct in_addr address = {htonl(clients[i].address)};
        fprintf(file, "%s %s %s\n", clients[i].key[0] ? clients[i].key : "-",
                clients[i].address ? inet_ntoa(address) : "-", clients[i].name);
    }
    if (fclose(file)) die(options.file);
}

/* The address that the next request for `client` shall bring. */
static uint32_t choose_address(const struct client *client, int changes) {
    bool change = (int)(dice() % 1000) < changes;
    return change && client->address ? next_address(client->address) : client->address;
}

static struct client *choose_client(void) {
    for (long tries = 0; tries < client_count; tries++) {
        struct client *client = &clients[next_client];
        next_client = (next_client + 1) % client_count;
        if (!client->busy) return client;
    }
    return NULL;
}

static void record_latency(int64_t ns) {
    long count = ok + uptodate + wrong;
    if (count >= latency_room) {
        latency_room = latency_room ? 2 * latency_room : 65536;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies) die("realloc");
    }
    latencies[count] = ns / 1000;
}

/* The right answer to a request for this address. */
static void write_expected(char *text, const struct client *client, uint32_t wanted) {
    bool same = wanted == client->address;
    struct in_addr address = {htonl(wanted)};
    if (options.body)
        snprintf(text, EXPECTED_SIZE, "%s", options.body);
    else if (options.way == DYNDNS2)
        sprintf(text, "%s %s", same ? "nochg" : "good", inet_ntoa(address));
    else
        strcpy(text, same ? "UPTODATE" : "OK");
}

/* The connection is at its end; its buffer holds all that was answered. */
static void finish(struct connection *connection) {
    struct client *client = connection->client;
    connection->buffer[connection->length] = 0;
    int64_t time = now();
    record_latency(time - connection->due);
    if (time <= time_is_up) in_time++;
    const char *body = strstr(connection->buffer, "\r\n\r\n");
    char expected[EXPECTED_SIZE];
    write_expected(expected, client, connection->wanted);
    if (body && !strcmp(body + 4, expected) && !strncmp(connection->buffer, "HTTP/1.1 200 ", 13)) {
        if (connection->wanted == client->address)
            uptodate++;
        else
            ok++;
        client->address = connection->wanted;
    } else if (wrong++ < 3) {
        fprintf(stderr, "%s expected, but answered: %s\n", expected, connection->length ? connection->buffer : "nothing");
    }
    client->busy = false;
    if (connection->tls) SSL_free(connection->tls);
    close(connection->fd);
    idle[idle_count++] = connection;
}

/* Send and receive return octets, 0 at the end of the connection, -1 for "not yet". */
static int tls_result(SSL *tls, int result) {
    if (result > 0) return result;
    int error = SSL_get_error(tls, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static int transmit(struct connection *connection) {
    if (connection->tls)
        return tls_result(connection->tls, SSL_write(connection->tls, connection->buffer, connection->length));
    int sent = send(connection->fd, connection->buffer, connection->length, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == ENOTCONN ? -1 : 0;
}

static int receive(struct connection *connection) {
    char *room = connection->buffer + connection->length;
    int size = BUFFER_SIZE - 1 - connection->length;
    if (connection->tls) return tls_result(connection->tls, SSL_read(connection->tls, room, size));
    int received = recv(connection->fd, room, size, 0);
    if (received >= 0) return received;
    return errno == EAGAIN ? -1 : 0;
}

/* As far as it goes now. */
static void advance(struct connection *connection) {
    if (!connection->sent) {
        int sent = transmit(connection);
        if (sent < 0) return;
        connection->sent = true;
        connection->length = 0;
        if (!sent) return finish(connection);
    }
    for (;;) {
        int received = receive(connection);
        if (received < 0) return;
        connection->length += received;
        if (!received || connection->length == BUFFER_SIZE - 1) return finish(connection);
    }
}

/* The request of a client for an address; its length. */
static int write_request(char *buffer, const struct client *client, uint32_t wanted) {
    static const char rest[] = "Host: dyn.example\r\nUser-Agent: router\r\nConnection: close\r\n\r\n";
    struct in_addr in = {htonl(wanted)};
    const char *address = inet_ntoa(in);
    char login[KEY_SIZE + 8], basic[2 * sizeof login];
    switch (options.way) {
        case PARAMETER: return sprintf(buffer, "GET /%s?myip=%s HTTP/1.1\r\n%s", client->key, address, rest);
        case PROXY: return sprintf(buffer, "GET /%s HTTP/1.1\r\nX-Forwarded-For: %s\r\n%s", client->key, address, rest);
        case DYNDNS2:
            EVP_EncodeBlock((unsigned char *)basic, (unsigned char *)login, sprintf(login, "router:%s", client->key));
            return sprintf(buffer, "GET /nic/update?hostname=%s&myip=%s HTTP/1.1\r\nAuthorization: Basic %s\r\n%s",
                           client->name, address, basic, rest);
        default: return sprintf(buffer, "GET /%s HTTP/1.1\r\n%s", client->key, rest);
    }
}

static void start(struct connection *connection, struct client *client, int changes, int64_t due) {
    started++;
    connection->client = client;
    connection->wanted = choose_address(client, changes);
    connection->due = due;
    connection->sent = false;
    client->busy = true;
    connection->length = write_request(connection->buffer, client, connection->wanted);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connection->fd < 0) die("socket");
    if (connection->wanted) {
        int yes = 1; /* the port is chosen when connecting: each address has all of them */
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(source_of(connection->wanted))}};
        setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(connection->fd, (struct sockaddr *)&own, sizeof own)) die("bind");
    }
    if (connect(connection->fd, (struct sockaddr *)&options.server, sizeof options.server) && errno != EINPROGRESS)
        die("connect");
    if (options.tls) {
        int yes = 1; /* else the last flight of the handshake and the request would wait for each other */
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connection->tls = SSL_new(options.tls);
        SSL_set_fd(connection->tls, connection->fd);
        SSL_set_connect_state(connection->tls);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event)) die("epoll_ctl");
    advance(connection);
}

static void set_timer(int64_t at) {
    struct itimerspec spec = {.it_value = {at / 1000000000, at % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Start what is due, up to `last` requests in all. False when nothing more will be started. */
static bool start_more(int changes, int64_t begin, int64_t end, long last) {
    while (idle_count) {
        int64_t time = now();
        int64_t due = options.rate ? begin + (int64_t)(started * 1e9 / options.rate) : time;
        if (started >= last || due >= end) return false;
        if (due > time) {
            set_timer(due);
            return true;
        }
        struct client *client = choose_client();
        if (!client) return true;
        start(idle[--idle_count], client, changes, due);
    }
    return true;
}

/*
 * Requests, `changes` in a thousand of them changes, until the time `end` or the number `last`; then all are answered, or,
 * after SIGTERM, perhaps not: seconds.
 */
static double run(int changes, int64_t end, long last) {
    int64_t begin = now();
    struct epoll_event events[EVENTS];
    bool more = true;
    for (;;) {
        if (more) more = start_more(changes, begin, end, last);
        if (ended || (!more && idle_count == options.connections)) return (now() - begin) / 1e9;
        int count = epoll_wait(epoll, events, EVENTS, PATIENCE);
        if (count == 0) {
            fprintf(stderr, "no answer within %d s\n", PATIENCE / 1000);
            exit(1);
        }
        for (int i = 0; i < count; i++) {
            uint64_t expirations;
            if (events[i].data.ptr)
                advance(events[i].data.ptr);
            else if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
                die("timerfd");
        }
    }
}

/* Rounds over all names until the time is up, of which one in `quiet_rounds` + 1 changes all: seconds in those. */
static double run_storms(void) {
    double seconds = 0;
    while (now() < time_is_up && !ended) {
        seconds += run(1000, INT64_MAX, started + client_count);
        for (int i = 0; i < options.quiet_rounds; i++) run(0, INT64_MAX, started + client_count);
    }
    return seconds;
}

static void end(int number) {
    (void)number;
    ended = 1;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/*
 * Answers per second: those in time, or all until the last one, whichever is more, so that a straggler at the end
 * (such as a connection that the server's backlog dropped, tried again after a second) counts against nobody. Of a
 * storm, changes per second.
 */
static double rate_of(double seconds, double storm_seconds) {
    if (options.quiet_rounds) return ok / storm_seconds;
    double all = (ok + uptodate + wrong) / seconds, punctual = in_time / options.seconds;
    return all > punctual ? all : punctual;
}

static void print_result(double seconds, double storm_seconds) {
    long count = ok + uptodate + wrong;
    qsort(latencies, count, sizeof *latencies, ascending);
#define PERCENTILE(p) (count ? latencies[(long)((count - 1) * (p))] / 1e6 : 0.0)
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"ok\": %ld, \"uptodate\": %ld, \"wrong\": %ld, \"seconds\": %.6f, \"rate\": %.3f, \"cpu\": %.6f,"
           " \"p50\": %.6f, \"p99\": %.6f, \"longest\": %.6f}\n",
           ok, uptodate, wrong, seconds, rate_of(seconds, storm_seconds), cpu, PERCENTILE(0.5), PERCENTILE(0.99), PERCENTILE(1.0));
}

static const char usage[] =
    "usage: load [-c connections] [-t seconds] [-n requests] [-r requests per second] [-m changes in a thousand]\n"
    "            [-q quiet rounds after each storm] [-e expected body] [-s (TLS)]\n"
    "            [-w direct|parameter|proxy|dyndns2] FILE ADDRESS PORT\n";

static enum way read_way(const char *name) {
    for (enum way way = DIRECT; way < WAYS; way++)
        if (!strcmp(name, way_names[way])) return way;
    fputs(usage, stderr);
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "c:t:n:r:m:q:e:sw:")) != -1;) switch (option) {
            case 'c': options.connections = atoi(optarg); break;
            case 't': options.seconds = atof(optarg); break;
            case 'n': options.requests = atol(optarg); break;
            case 'r': options.rate = atof(optarg); break;
            case 'm': options.changes = atoi(optarg); break;
            case 'q': options.quiet_rounds = atoi(optarg); break;
            case 'e': options.body = optarg; break;
            case 's': options.tls = SSL_CTX_new(TLS_client_method()); break;
            case 'w': options.way = read_way(optarg); break;
            default: argc = 0;
        }
    if (argc - optind != 3) {
        fputs(usage, stderr);
        exit(2);
    }
    options.file = argv[optind];
    options.server.sin_family = AF_INET;
    options.server.sin_addr.s_addr = inet_addr(argv[optind + 1]);
    options.server.sin_port = htons(atoi(argv[optind + 2]));
}

static void make_connections(void) {
    connections = calloc(options.connections, sizeof *connections);
    idle = calloc(options.connections, sizeof *idle);
    if (!connections || !idle) die("calloc");
    for (int i = 0; i < options.connections; i++) idle[idle_count++] = &connections[i];
    epoll = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll < 0 || timer < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event)) die("epoll");
}

static int trust(X509_STORE_CTX *context, void *argument) {
    (void)context;
    (void)argument;
    return 1;
}

/*
 * Each handshake a full one. The client's half of it must cost less than the server's: so it offers one cipher, one
 * group and one signature algorithm (those which both servers would choose anyway), and does not look at the chain of
 * certificates.
 */
static void prepare_tls(void) {
    SSL_CTX_set_min_proto_version(options.tls, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(options.tls, "TLS_AES_256_GCM_SHA384");
    SSL_CTX_set1_groups_list(options.tls, "X25519");
    SSL_CTX_set1_sigalgs_list(options.tls, "ECDSA+SHA256");
    SSL_CTX_set_session_cache_mode(options.tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cert_verify_callback(options.tls, trust, NULL);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    if (options.tls) prepare_tls();
    read_clients();
    make_connections();
    signal(SIGTERM, end);
    int64_t begin = now();
    time_is_up = begin + (int64_t)(options.seconds * 1e9);
    double storm_seconds = 0;
    if (options.quiet_rounds)
        storm_seconds = run_storms();
    else
        run(options.changes, time_is_up, options.requests);
    print_result((now() - begin) / 1e9, storm_seconds);
    write_clients();
    return wrong ? 1 : 0;
}

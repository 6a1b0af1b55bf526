/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libsluice and sluiced say to each other over the library socket (AF_UNIX, SOCK_SEQPACKET): one struct a message,
 * in the byte order of the machine that both run on. Private to the two of them; not installed.
 *
 * The client speaks first, with HELLO. Each request has an id of the client's choice and gets one answer with that id
 * and the request's opcode | SLUICE_WIRE_ANSWER. Answers come in any order. A request that cannot be understood ends
 * the connection; one that cannot be served is answered with a negative errno. The end of the connection closes all
 * that was opened over it.
 */
#ifndef SLUICE_WIRE_H
#define SLUICE_WIRE_H

#include <stdint.h>

#define SLUICE_WIRE_VERSION 1U
#define SLUICE_WIRE_MAGIC 0x4c534c53U /* "SLSL" */
#define SLUICE_WIRE_MAX 1024U         /* bytes of the largest message */
#define SLUICE_WIRE_NAME_MAX 768U     /* bytes of the longest name */
#define SLUICE_WIRE_ANSWER 0x8000U

enum sluice_wire_opcode {
    SLUICE_WIRE_HELLO = 1,
    SLUICE_WIRE_OPEN_BLOB = 2,  /* by digest: "sha256:" and 64 hex digits */
    SLUICE_WIRE_OPEN_IMAGE = 3, /* by the reference of a registered image; layer and device choose the blob */
    SLUICE_WIRE_READ = 4,       /* answered when the range is in, or cannot be had */
    SLUICE_WIRE_CLOSE = 5,
    SLUICE_WIRE_CANCEL = 6 /* of a READ, which is then answered with -ECANCELED unless it was answered already */
};

struct sluice_wire_header {
    uint16_t opcode;
    uint16_t size; /* bytes of the whole message */
    uint32_t id;
};

struct sluice_wire_hello {
    struct sluice_wire_header header;
    uint32_t magic;
    uint16_t version_min; /* the versions that the client speaks */
    uint16_t version_max;
};

struct sluice_wire_open {
    struct sluice_wire_header header;
    uint32_t layer;  /* from the bottom, from 0 */
    uint32_t device; /* 0: the layer's own blob; 1 and up: its extra devices */
    /* Followed by the name, without a terminator. */
};

struct sluice_wire_read {
    struct sluice_wire_header header;
    uint32_t object;
    uint32_t reserved; /* 0 */
    uint64_t offset;   /* bytes */
    uint64_t length;   /* bytes; 1 to max_read */
};

struct sluice_wire_object { /* CLOSE: an object; CANCEL: the id of a READ */
    struct sluice_wire_header header;
    uint32_t target;
    uint32_t reserved; /* 0 */
};

struct sluice_wire_answer { /* READ, CLOSE, CANCEL, and whatever has failed */
    struct sluice_wire_header header;
    int32_t status;    /* 0 or a negative errno */
    uint32_t reserved; /* 0 */
};

struct sluice_wire_hello_answer {
    struct sluice_wire_answer answer;
    uint32_t version;
    uint32_t max_requests; /* unanswered at a time, HELLO not counted; what is more is answered with -EBUSY */
    uint32_t max_objects;  /* open at a time; what is more is answered with -EMFILE */
    uint32_t max_read;     /* bytes of one READ */
};

struct sluice_wire_open_answer { /* comes with the read-only descriptor of the backing file (SCM_RIGHTS) */
    struct sluice_wire_answer answer;
    uint32_t object;
    uint32_t reserved;  /* 0 */
    uint64_t blob_size; /* bytes that readers see */
    uint8_t digest[32]; /* SHA-256 of the blob as it lies in the registry */
};

#endif

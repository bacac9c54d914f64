/* Adapt an exported model to support images and sample from it, with TensorFlow's C API only.
 *
 *   adapt_and_sample MODEL_DIR SUPPORT.f32 K H W C STEPS NUM SEED OUT.f32
 *
 * SUPPORT.f32 holds K x H x W x C float32 numbers in [-1, 1], OUT.f32 receives NUM x H x W x C. The names of the graph's
 * tensors are read from the model's SignatureDef, because they differ between exports.
 *
 *   gcc adapt_and_sample.c -I$TF/include -L$TF -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
 *       -Wl,-rpath,$TF -o adapt_and_sample        (TF: the folder of the Python package tensorflow)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define SIGNATURE "adapt_and_sample"

typedef struct {
    const uint8_t *at, *end;
} Bytes;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "adapt_and_sample: error: %s: %s\n", what, why);
    exit(2);
}

static uint64_t varint(Bytes *b) {
    uint64_t value = 0;
    for (int shift = 0; b->at < b->end && shift < 64; shift += 7) {
        uint8_t byte = *b->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    fail("the model's signatures", "cut short");
    return 0;
}

/* The next field of a protocol buffer: its number, and its bytes where it has a length. 0 at the end. */
static int next(Bytes *b, Bytes *value) {
    if (b->at >= b->end) return 0;
    uint64_t key = varint(b), size = 0;
    value->at = value->end = b->at;
    switch (key & 7) {
        case 0: varint(b); return (int)(key >> 3);
        case 1: size = 8; break;
        case 2: size = varint(b); break;
        case 5: size = 4; break;
        default: fail("the model's signatures", "of an unknown kind");
    }
    if (size > (uint64_t)(b->end - b->at)) fail("the model's signatures", "cut short");
    value->at = b->at;
    value->end = b->at += size;
    return (int)(key >> 3);
}

/* The value of the entry `name` of a map that is field `field` of a message; its ends are equal where there is none. */
static Bytes entry(Bytes message, int field, const char *name) {
    Bytes map, part, found = {NULL, NULL};
    for (int number; (number = next(&message, &map));) {
        if (number != field) continue;
        Bytes key = {NULL, NULL}, value = {NULL, NULL};
        for (int which; (which = next(&map, &part));) *(which == 1 ? &key : &value) = part;
        if (key.at && (size_t)(key.end - key.at) == strlen(name) && !memcmp(key.at, name, strlen(name))) found = value;
    }
    return found;
}

/* The graph's tensor behind an input (field 1 of a SignatureDef) or output (field 2). */
static TF_Output tensor(TF_Graph *graph, Bytes signature, int side, const char *name) {
    Bytes info = entry(signature, side, name), part, found = {NULL, NULL};
    for (int number; (number = next(&info, &part));)
        if (number == 1) found = part;
    if (!found.at) fail("the signature " SIGNATURE " must have", name);
    char operation[1024];
    size_t size = (size_t)(found.end - found.at);
    if (size >= sizeof operation) fail("a tensor's name is too long", name);
    memcpy(operation, found.at, size);
    operation[size] = 0;
    char *colon = strrchr(operation, ':');
    TF_Output output = {NULL, colon ? atoi(colon + 1) : 0};
    if (colon) *colon = 0;
    if (!(output.oper = TF_GraphOperationByName(graph, operation))) fail("the graph must have", operation);
    return output;
}

static TF_Tensor *integer(int32_t value) {
    TF_Tensor *made = TF_AllocateTensor(TF_INT32, NULL, 0, sizeof value);
    memcpy(TF_TensorData(made), &value, sizeof value);
    return made;
}

static void check(TF_Status *status, const char *what) {
    if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

int main(int count, char **argument) {
    if (count != 11) fail("must be given", "MODEL_DIR SUPPORT.f32 K H W C STEPS NUM SEED OUT.f32");
    int64_t shape[4];
    size_t size = sizeof(float);
    for (int i = 0; i < 4; i++) size *= (size_t)(shape[i] = atoll(argument[3 + i]));

    TF_Tensor *support = TF_AllocateTensor(TF_FLOAT, shape, 4, size);
    FILE *file = fopen(argument[2], "rb");
    if (!file || fread(TF_TensorData(support), 1, size, file) != size || fgetc(file) != EOF)
        fail(argument[2], "must hold K x H x W x C float32 numbers");
    fclose(file);

    TF_Status *status = TF_NewStatus();
    TF_Graph *graph = TF_NewGraph();
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Buffer *meta = TF_NewBuffer();
    const char *tags[] = {"serve"};
    TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argument[1], tags, 1, graph, meta, status);
    check(status, argument[1]);

    Bytes all = {meta->data, (const uint8_t *)meta->data + meta->length};
    Bytes signature = entry(all, 5, SIGNATURE); /* MetaGraphDef.signature_def */
    if (!signature.at) fail(argument[1], "must have the signature " SIGNATURE);
    TF_Output inputs[] = {tensor(graph, signature, 1, "support"), tensor(graph, signature, 1, "steps"),
                          tensor(graph, signature, 1, "num"), tensor(graph, signature, 1, "seed")};
    TF_Tensor *values[] = {support, integer(atoi(argument[7])), integer(atoi(argument[8])), integer(atoi(argument[9]))};
    TF_Output output = tensor(graph, signature, 2, "samples");
    TF_Tensor *samples = NULL;
    TF_SessionRun(session, NULL, inputs, values, 4, &output, &samples, 1, NULL, 0, NULL, status);
    check(status, SIGNATURE);

    file = fopen(argument[10], "wb");
    if (!file || fwrite(TF_TensorData(samples), 1, TF_TensorByteSize(samples), file) != TF_TensorByteSize(samples))
        fail(argument[10], "cannot be written");
    fclose(file);

    for (int i = 0; i < 4; i++) TF_DeleteTensor(values[i]);
    TF_DeleteTensor(samples);
    TF_CloseSession(session, status);
    TF_DeleteSession(session, status);
    TF_DeleteGraph(graph);
    TF_DeleteSessionOptions(options);
    TF_DeleteBuffer(meta);
    TF_DeleteStatus(status);
    return 0;
}

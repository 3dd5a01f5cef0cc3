/* The part of NVIDIA's driver that trajlib calls, on this machine's memory: a module is a shared object, whose path stands in the place of PTX,
   and whose kernels are those of ptx.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
static long live;
int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return number == 0 ? 0 : 101; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)(intptr_t)(0x1000 + device); return 0; }
int cuCtxSetCurrent(void *context) { return context == (void *)0x1000 ? 0 : 201; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "made-up card", size); return device; }
int cuDeviceGetAttribute(int *value, int which, int device) {
  *value = which == 75 ? 8 : which == 76 ? 0 : which == 16 ? 1 : which == 13 ? 10000 : which == 87 ? 2 : -1;
  return device;
}
int cuGetErrorString(int error, const char **text) { *text = error == 2 ? "out of memory" : "made-up error"; return 0; }
int cuMemAlloc_v2(uint64_t *address, size_t size) {
  if (size > (size_t)1 << 40) return 2;
  ++live;
  return (*address = (uint64_t)malloc(size)) ? 0 : 2;
}
int cuMemFree_v2(uint64_t address) { --live; free((void *)address); return 0; }
int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t size) { memset((void *)address, value, size); return 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) { memcpy((void *)to, from, size); return 0; }
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size) { memcpy(to, (void *)from, size); return 0; }
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size) { memcpy((void *)to, (void *)from, size); return 0; }
int cuCtxSynchronize(void) { return 0; }
int cuModuleLoadData(void **module, const char *image) { return (*module = dlopen(image, RTLD_NOW)) ? 0 : 218; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  char whole[64];
  strcat(strcpy(whole, name), "_launch");
  return (*function = dlsym(module, whole)) ? 0 : 500;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,
                   void **parameters, void **extra) {
  if (gy != 1 || gz != 1 || by != 1 || bz != 1 || bx > 1024 || shared > 48 * 1024 || stream || extra) return 1;
  ((void (*)(void **, int, int))function)(parameters, gx, bx);
  return 0;
}
long living(void) { return live; }

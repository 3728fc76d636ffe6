// What a session does around a program: batches, sums, and when to stop.
#include "common.cuh"

// Control is plan.ControlBlock.
struct Control {
  u32 n, lo_bits, lo_mask, hi_mask, key[12];
  i64 done;
  u32 ordered, first;
  int index, halt;
  float loss;
  int tick;
};

// murmur is the mixer f of data.Perm.
DEVICE u32 murmur(u32 v) {
  v = (v ^ v >> 16) * 0x85EBCA6Bu;
  v = (v ^ v >> 13) * 0xC2B2AE35u;
  return v ^ v >> 16;
}

// row_at returns the row at a position of the epoch's order: data.Perm.At.
DEVICE u32 row_at(const Control* c, u32 x) {
  if (c->ordered) return x;
  do {
    u32 hi = x >> c->lo_bits, lo = x & c->lo_mask;
    for (int r = 0; r < 12; r += 2) {
      lo ^= murmur(hi ^ c->key[r]) & c->lo_mask;
      hi ^= murmur(lo ^ c->key[r + 1]) & c->hi_mask;
    }
    x = hi << c->lo_bits | lo;
  } while (x >= c->n);
  return x;
}

// Column is plan.Column and the type of the program's input: 0 float, 1 integer.
struct Column {
  int type, to_int, size, scales;
};
enum ElementType { NONE, U8, F32, I32 };

// gather_chunk is the number of elements of a row that a block copies.
constexpr int gather_chunk = 1024;

// Norm is the center, scale and shift of a column: all null when it has no scales,
// center also when it has none.
struct Norm {
  const float *scale, *shift, *center;
};

// copy_row writes part of row `from` of the data to row `to` of a batch. Differences
// and products are rounded, as in data.Table.Gather.
template <class T>
DEVICE void copy_row(void* out, const T* data, Norm norm, Column c, i64 to, i64 from, int part) {
  data += from * c.size;
  int last = min((part + 1) * gather_chunk, c.size);
  for (int i = part * gather_chunk + threadIdx.x; i < last; i += threads) {
    if (c.to_int) {
      ((int*)out)[to * c.size + i] = int(data[i]);
      continue;
    }
    float v = float(data[i]);
    if (c.scales) {
      int k = c.scales > 1 ? i : 0;
      if (norm.center) v = __fsub_rn(v, norm.center[k]);
      v = __fadd_rn(__fmul_rn(v, norm.scale[k]), norm.shift[k]);
    }
    ((float*)out)[to * c.size + i] = v;
  }
}

DEVICE void copy_column(void* out, const void* data, Norm norm, Column c, i64 to, i64 from, int part) {
  switch (c.type) {
    case U8: copy_row(out, (const u8*)data, norm, c, to, from, part); break;
    case F32: copy_row(out, (const float*)data, norm, c, to, from, part); break;
    case I32: copy_row(out, (const int*)data, norm, c, to, from, part); break;
  }
}

// gather -- the inputs of a program for the next batch
//   x[i,.] = (data_x[row(first + i),.] - center)*scale + shift, y likewise;
//   seed = weight; tick = done*accumulate + micro + control's tick
// shapes   x [B, xs.size], y [B, ys.size], f32 or i32; data u8, f32 or i32; scale,
//          shift, center f32 [scales]; seed f32 [1], tick i32 [1]; all may be null
// aliasing none
// launch   grid (B, parts of x and of y), block 256: a block copies up to 1024
//          elements of one row; x_parts of the parts are x's
// sums     none
// repeat   bit-identical, the same rows and bits as on the CPU
// error    exact
// cost     5 to 8 bytes for each element: memory bound
// source   data.Perm, data.Table.Gather
KERNEL(gather, threads, const Control* control, void* x, const void* data_x, const float* scale_x,
       const float* shift_x, const float* center_x, Column xs, void* y, const void* data_y, const float* scale_y,
       const float* shift_y, const float* center_y, Column ys, float* seed, int* tick, float weight, int micro, int accumulate, int x_parts) {
  int b = blockIdx.x, parts_of_y = (ys.size + gather_chunk - 1) / gather_chunk;
  if (b == 0 && blockIdx.y == 0 && threadIdx.x == 0) {
    if (seed) *seed = weight;
    if (tick) *tick = int(control->done * accumulate + micro) + control->tick;
  }
  i64 row = row_at(control, control->first + b);
  for (int part = blockIdx.y; part < x_parts + parts_of_y; part += gridDim.y) {
    if (part < x_parts) copy_column(x, data_x, Norm{scale_x, shift_x, center_x}, xs, b, row, part);
    else copy_column(y, data_y, Norm{scale_y, shift_y, center_y}, ys, b, row, part - x_parts);
  }
}

// A Sum is where one of plan.Plan.Sums is, and where it goes.
struct Sum {
  const float* from;
  i64 offset, n;
};

// end_batch -- sums of a batch, and the end of a step
//   step += (loss*rows, metrics);  first += rows;  last: span += step, step = 0,
//   rate = rates[index], step_number = done + 1, then index++, done++
//   but nothing of this once the loss was not finite: halt = 1
//   progress = index: memory of the host, which it reads after the device has died
// shapes   list of `count` sums, the loss first, together `size` elements; sums
//          f64 [2, size]: the step's, the span's; rate f32 [1] and step_number i32
//          [1] of the update program, may be null and may lie where a sum is;
//          progress i32 [1], may be null
// aliasing as said
// launch   grid 1, block 256
// sums     f64, each element by itself
// repeat   bit-identical, the same bits as on the CPU
// error    exact
// cost     20 bytes for each element, on one multiprocessor
// source   backend/host, train.go
KERNEL(end_batch, threads, Control* control, const Sum* list, int count, double* sums, int size, int rows, int last,
       const float* rates, float* rate, int* step_number, int* progress) {
  float loss = count > 0 ? *list[0].from : 0.0f;
  bool halt = control->halt || !(fabsf(loss) < INFINITY_F);
  double* span = sums + size;
  for (int s = 0; s < count && !halt; s++)
    for (i64 i = threadIdx.x; i < list[s].n; i += threads) {
      i64 at = list[s].offset + i;
      double v = list[s].from[i];
      double step = sums[at] + (s == 0 ? v * double(rows) : v);
      if (last) span[at] += step;
      sums[at] = last ? 0 : step;
    }
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (halt) {
    if (!control->halt) control->loss = loss;
    control->halt = 1;
    return;
  }
  control->first += rows;
  if (!last) return;
  if (rate) *rate = rates[control->index];
  if (step_number) *step_number = int(control->done + 1);
  control->index++;
  control->done++;
  if (progress) *progress = control->index;
}

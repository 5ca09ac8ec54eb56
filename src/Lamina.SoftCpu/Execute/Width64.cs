using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>64-bit operands.</summary>
internal unsafe struct Width64 : IWidth
{
    public static int Bytes => 8;

    public static int Bits => 64;

    public static ulong Mask => ulong.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SignExtend(ulong value) => value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetReg(ProcessorContext* c, Instruction* i) => c->Registers[i->Reg];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetReg(ProcessorContext* c, Instruction* i, ulong value) => c->Registers[i->Reg] = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetRm(ProcessorContext* c, Instruction* i) => c->Registers[i->Rm];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetRm(ProcessorContext* c, Instruction* i, ulong value) => c->Registers[i->Rm] = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(ProcessorContext* c, int register) => c->Registers[register];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(ProcessorContext* c, int register, ulong value) => c->Registers[register] = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load(ProcessorContext* c, int segment, ulong offset, out ulong value)
    {
        bool done = GuestAccess.Load(c, segment, offset, out ulong v);
        value = v;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store(ProcessorContext* c, int segment, ulong offset, ulong value) => GuestAccess.Store(c, segment, offset, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Read(byte* p) => Unsafe.ReadUnaligned<ulong>(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(byte* p, ulong value) => Unsafe.WriteUnaligned(p, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong CompareExchange(byte* p, ulong value, ulong comparand) => Interlocked.CompareExchange(ref *(ulong*)p, value, comparand);
}

using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>32-bit operands.</summary>
internal unsafe struct Width32 : IWidth
{
    public static int Bytes => 4;

    public static int Bits => 32;

    public static ulong Mask => uint.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SignExtend(ulong value) => (ulong)(long)(int)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetReg(ProcessorContext* c, Instruction* i) => (uint)c->Registers[i->Reg];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetReg(ProcessorContext* c, Instruction* i, ulong value) => c->Registers[i->Reg] = (uint)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetRm(ProcessorContext* c, Instruction* i) => (uint)c->Registers[i->Rm];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetRm(ProcessorContext* c, Instruction* i, ulong value) => c->Registers[i->Rm] = (uint)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(ProcessorContext* c, int register) => (uint)c->Registers[register];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(ProcessorContext* c, int register, ulong value) => c->Registers[register] = (uint)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load(ProcessorContext* c, int segment, ulong offset, out ulong value)
    {
        bool done = GuestAccess.Load(c, segment, offset, out uint v);
        value = v;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store(ProcessorContext* c, int segment, ulong offset, ulong value) => GuestAccess.Store(c, segment, offset, (uint)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Read(byte* p) => Unsafe.ReadUnaligned<uint>(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(byte* p, ulong value) => Unsafe.WriteUnaligned(p, (uint)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong CompareExchange(byte* p, ulong value, ulong comparand) => Interlocked.CompareExchange(ref *(uint*)p, (uint)value, (uint)comparand);
}

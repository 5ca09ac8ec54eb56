using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>16-bit operands.</summary>
internal unsafe struct Width16 : IWidth
{
    public static int Bytes => 2;

    public static int Bits => 16;

    public static ulong Mask => ushort.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SignExtend(ulong value) => (ulong)(long)(short)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetReg(ProcessorContext* c, Instruction* i) => (ushort)c->Registers[i->Reg];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetReg(ProcessorContext* c, Instruction* i, ulong value) => *(ushort*)(c->Registers + i->Reg) = (ushort)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetRm(ProcessorContext* c, Instruction* i) => (ushort)c->Registers[i->Rm];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetRm(ProcessorContext* c, Instruction* i, ulong value) => *(ushort*)(c->Registers + i->Rm) = (ushort)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(ProcessorContext* c, int register) => (ushort)c->Registers[register];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(ProcessorContext* c, int register, ulong value) => *(ushort*)(c->Registers + register) = (ushort)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load(ProcessorContext* c, int segment, ulong offset, out ulong value)
    {
        bool done = GuestAccess.Load(c, segment, offset, out ushort v);
        value = v;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store(ProcessorContext* c, int segment, ulong offset, ulong value) => GuestAccess.Store(c, segment, offset, (ushort)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Read(byte* p) => Unsafe.ReadUnaligned<ushort>(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(byte* p, ulong value) => Unsafe.WriteUnaligned(p, (ushort)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong CompareExchange(byte* p, ulong value, ulong comparand) => Interlocked.CompareExchange(ref *(ushort*)p, (ushort)value, (ushort)comparand);
}

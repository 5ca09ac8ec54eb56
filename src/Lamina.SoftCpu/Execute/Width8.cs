using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>8-bit operands.</summary>
internal unsafe struct Width8 : IWidth
{
    public static int Bytes => 1;

    public static int Bits => 8;

    public static ulong Mask => byte.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SignExtend(ulong value) => (ulong)(long)(sbyte)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetReg(ProcessorContext* c, Instruction* i) => ((byte*)c->Registers)[i->Reg8];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetReg(ProcessorContext* c, Instruction* i, ulong value) => ((byte*)c->Registers)[i->Reg8] = (byte)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetRm(ProcessorContext* c, Instruction* i) => ((byte*)c->Registers)[i->Rm8];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetRm(ProcessorContext* c, Instruction* i, ulong value) => ((byte*)c->Registers)[i->Rm8] = (byte)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(ProcessorContext* c, int register) => (byte)c->Registers[register];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(ProcessorContext* c, int register, ulong value) => *(byte*)(c->Registers + register) = (byte)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Load(ProcessorContext* c, int segment, ulong offset, out ulong value)
    {
        bool done = GuestAccess.Load(c, segment, offset, out byte v);
        value = v;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Store(ProcessorContext* c, int segment, ulong offset, ulong value) => GuestAccess.Store(c, segment, offset, (byte)value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Read(byte* p) => *p;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(byte* p, ulong value) => *p = (byte)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong CompareExchange(byte* p, ulong value, ulong comparand) => Interlocked.CompareExchange(ref *(byte*)p, (byte)value, (byte)comparand);
}

using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>The stack at the current stack size: RSP, ESP or SP.</summary>
internal static unsafe class Stack
{
    private const int Rsp = 4;

    /// <summary>Offset of the top.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Pointer(ProcessorContext* c) => Truncate(c, c->Registers[Rsp]);

    /// <summary>Truncates an offset to the stack size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Truncate(ProcessorContext* c, ulong offset) => c->StackSize == 8 ? offset : c->StackSize == 4 ? (uint)offset : (ushort)offset;

    /// <summary>Sets the stack pointer; a 16-bit one leaves the upper bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetPointer(ProcessorContext* c, ulong offset)
    {
        if (c->StackSize == 8)
        {
            c->Registers[Rsp] = offset;
        }
        else if (c->StackSize == 4)
        {
            c->Registers[Rsp] = (uint)offset;
        }
        else
        {
            *(ushort*)(c->Registers + Rsp) = (ushort)offset;
        }
    }

    /// <summary>Adds to the stack pointer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Advance(ProcessorContext* c, ulong bytes) => SetPointer(c, c->Registers[Rsp] + bytes);

    /// <summary>Pushes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Push<TWidth>(ProcessorContext* c, ulong value)
        where TWidth : struct, IWidth
    {
        ulong top = Truncate(c, c->Registers[Rsp] - (ulong)TWidth.Bytes);
        if (!TWidth.Store(c, SegmentRegister.Ss, top, value))
        {
            return false;
        }

        SetPointer(c, top);
        return true;
    }

    /// <summary>Pops.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Pop<TWidth>(ProcessorContext* c, out ulong value)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, SegmentRegister.Ss, Pointer(c), out value))
        {
            return false;
        }

        Advance(c, (ulong)TWidth.Bytes);
        return true;
    }
}

using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Pushes on a stack that is not, or not yet, the current one. Nothing in the processor changes until <see cref="Commit"/>.</summary>
internal unsafe struct StackWriter
{
    /// <summary>SS.</summary>
    public SegmentCache Segment;

    /// <summary>RSP.</summary>
    public ulong Pointer;

    private int _addressSize;
    private bool _user;
    private bool _explicit;
    private uint _faultCode;

    /// <summary>The current stack at the current privilege.</summary>
    public static StackWriter Current(ProcessorContext* c) => new()
    {
        Segment = c->Segments[SegmentRegister.Ss],
        Pointer = c->Registers[4],
        _addressSize = c->StackSize,
        _user = c->Cpl == 3,
        _faultCode = 0,
    };

    /// <summary>The current stack as an instruction of the program pushes on it: RFLAGS.AC opens user pages, and has alignment checked.</summary>
    public static StackWriter Explicit(ProcessorContext* c) => Current(c) with { _explicit = true };

    /// <summary>Another stack, outside long mode's 64-bit gates. It is written at privilege <paramref name="level"/>.</summary>
    public static StackWriter Inner(ProcessorContext* c, in SegmentCache segment, ulong pointer, int level) => new()
    {
        Segment = segment,
        Pointer = segment.IsBig ? (uint)pointer : (c->Registers[4] & ~0xffffUL) | (ushort)pointer,
        _addressSize = segment.IsBig ? 4 : 2,
        _user = level == 3,
        _faultCode = DescriptorTables.Code(segment.Selector),
    };

    /// <summary>A stack of 64-bit mode.</summary>
    public static StackWriter Long(in SegmentCache segment, ulong pointer, int level) => new()
    {
        Segment = segment,
        Pointer = pointer,
        _addressSize = 8,
        _user = level == 3,
        _faultCode = 0,
    };

    /// <summary>The current stack as 64-bit code has it, for pushes of the program's own instruction.</summary>
    public static StackWriter ExplicitLong(ProcessorContext* c) => Long(c->Segments[SegmentRegister.Ss], c->Registers[4], c->Cpl) with { _explicit = true };

    /// <summary>Whether that many values can be pushed, as far as segmentation says; #SS if not. Comes before the checks of where execution goes on.</summary>
    public readonly bool HasRoom(ProcessorContext* c, int count, int size)
    {
        for (int n = 1; n <= count; n++)
        {
            ulong offset = Pointer - (ulong)(n * size);
            bool inside = _addressSize == 8
                ? SystemMemory.IsCanonical(offset) && SystemMemory.IsCanonical(offset + (ulong)(size - 1))
                : Contains(c, _addressSize == 4 ? (uint)offset : (ushort)offset, size);
            if (!inside)
            {
                return Fault.StackFault(c, _faultCode);
            }
        }

        return true;
    }

    /// <summary>Pushes the low <paramref name="size"/> bytes.</summary>
    public bool Push(ProcessorContext* c, ulong value, int size)
    {
        ulong offset = Pointer - (ulong)size;
        ulong linear;
        if (_addressSize == 8)
        {
            if (!SystemMemory.IsCanonical(offset) || !SystemMemory.IsCanonical(offset + (ulong)(size - 1)))
            {
                return Fault.StackFault(c, _faultCode);
            }

            linear = offset;
            Pointer = offset;
        }
        else
        {
            offset = _addressSize == 4 ? (uint)offset : (ushort)offset;
            if (!Contains(c, (uint)offset, size))
            {
                return Fault.StackFault(c, _faultCode);
            }

            linear = (uint)(Segment.Base + offset);
            Pointer = _addressSize == 4 ? offset : (Pointer & ~0xffffUL) | offset;
        }

        return _explicit && (c->SystemFlags & Flags.AlignmentCheck) != 0
            ? MemoryUnit.StoreSlow(c, SegmentRegister.Ss, linear, (byte*)&value, size)
            : SystemMemory.Store(c, linear, &value, size, _user);
    }

    /// <summary>Makes this the current stack.</summary>
    public readonly void Commit(ProcessorContext* c)
    {
        c->Segments[SegmentRegister.Ss] = Segment;
        c->Registers[4] = Pointer;
    }

    private readonly bool Contains(ProcessorContext* c, uint offset, int size)
    {
        uint last = offset + (uint)(size - 1);
        if (last < offset || ((c->Protected || _faultCode != 0) && !Segment.IsUsable))
        {
            return false;
        }

        // Expand-down data (type 4 to 7): the limit is the last offset that is not valid.
        return (Segment.Attributes & 0xc) == 4
            ? offset > Segment.Limit && last <= (Segment.IsBig ? uint.MaxValue : 0xffff)
            : last <= Segment.Limit;
    }
}

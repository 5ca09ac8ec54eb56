namespace Lamina.Verify.Privileged;

/// <summary>The whole of a small machine: one processor's registers, and 64 KiB of memory from physical address 0 on.</summary>
internal sealed class MachineImage
{
    public const int MemorySize = 0x1_0000;
    public const int Es = 0;
    public const int Cs = 1;
    public const int Ss = 2;
    public const int Ds = 3;
    public const int Fs = 4;
    public const int Gs = 5;
    public const int LocalTable = 6;
    public const int Task = 7;
    public const int SegmentCount = 8;
    public const int GeneralCount = 16;

    public ulong[] General { get; } = new ulong[GeneralCount];

    /// <summary>ES, CS, SS, DS, FS, GS, LDTR, TR.</summary>
    public SegmentImage[] Segments { get; } = new SegmentImage[SegmentCount];

    public ulong[] Registers { get; } = new ulong[(int)MachineRegister.Count];

    public byte[] Memory { get; } = new byte[MemorySize];

    public ulong this[MachineRegister register]
    {
        get => Registers[(int)register];
        set => Registers[(int)register] = value;
    }

    public ulong Rip
    {
        get => this[MachineRegister.Rip];
        set => this[MachineRegister.Rip] = value;
    }

    public uint Flags
    {
        get => (uint)this[MachineRegister.Flags];
        set => this[MachineRegister.Flags] = value;
    }

    public int Cpl
    {
        get => (int)this[MachineRegister.Cpl];
        set => this[MachineRegister.Cpl] = (ulong)value;
    }

    public bool IsProtected => (this[MachineRegister.Cr0] & 1) != 0 && !IsVirtual8086;

    public bool IsVirtual8086 => (Flags & 0x2_0000) != 0;

    /// <summary>EFER.LMA.</summary>
    public bool IsLong => (this[MachineRegister.Efer] & 0x400) != 0;

    /// <summary>64-bit mode.</summary>
    public bool Is64 => IsLong && Segments[Cs].IsLong;

    /// <summary>Bytes of default operands and addresses: 2, 4 or 8 for 64-bit mode.</summary>
    public int CodeSize => Is64 ? 8 : Segments[Cs].IsBig ? 4 : 2;

    /// <summary>Bytes of the stack pointer.</summary>
    public int StackSize => Is64 ? 8 : Segments[Ss].IsBig ? 4 : 2;

    public void CopyFrom(MachineImage other)
    {
        CopyRegistersFrom(other);
        other.Memory.AsSpan().CopyTo(Memory);
    }

    public void CopyRegistersFrom(MachineImage other)
    {
        other.General.AsSpan().CopyTo(General);
        other.Segments.AsSpan().CopyTo(Segments);
        other.Registers.AsSpan().CopyTo(Registers);
    }
}

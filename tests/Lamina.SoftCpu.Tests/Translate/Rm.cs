namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>A register or memory operand. Registers that are not there are -1.</summary>
internal readonly record struct Rm
{
    public static Rm Register(int register) => new() { IsRegister = true, Base = register };

    /// <summary>An absolute address of 32 bits.</summary>
    public static Rm Absolute(ulong address) => new() { Base = -1, Index = -1, Displacement = (int)address };

    public static Rm At(int register, int displacement = 0) => new() { Base = register, Index = -1, Displacement = displacement };

    public bool IsRegister { get; init; }

    public int Base { get; init; }

    public int Index { get; init; }

    public int Scale { get; init; }

    public int Displacement { get; init; }

    /// <summary>Low 32 bits of the address that a RIP-relative operand names.</summary>
    public ulong? RipTarget { get; init; }

    /// <summary>0x64, 0x65 or 0.</summary>
    public byte SegmentPrefix { get; init; }

    /// <summary>67.</summary>
    public bool Address32 { get; init; }
}

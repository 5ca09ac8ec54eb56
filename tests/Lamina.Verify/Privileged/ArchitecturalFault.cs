namespace Lamina.Verify.Privileged;

/// <summary>An exception that the model raises: where the manual's pseudo-code has #VECTOR(CODE).</summary>
internal sealed class ArchitecturalFault(int vector, uint? code = null, ulong address = 0) : Exception
{
    public const int Debug = 1;
    public const int Breakpoint = 3;
    public const int Overflow = 4;
    public const int InvalidOpcode = 6;
    public const int DoubleFault = 8;
    public const int InvalidTask = 10;
    public const int NotPresent = 11;
    public const int Stack = 12;
    public const int Protection = 13;
    public const int Page = 14;
    public const int Alignment = 17;

    public int Vector => vector;

    public uint? Code { get; set; } = code;

    /// <summary>CR2 of a page fault.</summary>
    public ulong Address => address;

    /// <summary>A load of DR0 to DR7 that DR7.GD forbids: DR6.BD is set.</summary>
    public bool DetectsDebugAccess { get; init; }

    public static ArchitecturalFault Gp(uint code = 0) => new(Protection, code);

    public static ArchitecturalFault Ud() => new(InvalidOpcode);
}

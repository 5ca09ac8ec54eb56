namespace Lamina.SoftCpu.Decode;

/// <summary>Prefixes and shape of a decoded instruction.</summary>
[Flags]
internal enum InstructionFlags : uint
{
    None = 0,

    /// <summary>F0.</summary>
    Lock = 1,

    /// <summary>F3, or VEX.pp = 2.</summary>
    Rep = 2,

    /// <summary>F2, or VEX.pp = 3.</summary>
    Repne = 4,

    /// <summary>66, or VEX.pp = 1.</summary>
    OperandSize = 8,

    /// <summary>67.</summary>
    AddressSize = 16,

    /// <summary>A segment override that applies.</summary>
    SegmentOverride = 32,

    /// <summary>VEX encoded.</summary>
    Vex = 64,

    /// <summary>VEX.L.</summary>
    VexL = 128,

    /// <summary>Has a ModRM byte.</summary>
    ModRm = 256,

    /// <summary>ModRM.mod is not 3: the r/m operand is memory.</summary>
    Memory = 512,

    /// <summary>The address is relative to the next instruction.</summary>
    RipRelative = 1024,

    /// <summary>Ends a block: sets RIP itself, or changes what the next instruction means.</summary>
    EndsBlock = 2048,

    /// <summary>Means nothing: raises #UD.</summary>
    Undefined = 4096,

    /// <summary>The code has changed: this instruction is not to be executed again.</summary>
    Dropped = 8192,

    /// <summary>The mandatory-prefix bits.</summary>
    Mandatory = Rep | Repne | OperandSize,
}

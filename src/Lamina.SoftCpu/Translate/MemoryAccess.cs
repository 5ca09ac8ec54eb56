namespace Lamina.SoftCpu.Translate;

/// <summary>The first memory access of an instruction, as far as windows can serve it.</summary>
internal struct MemoryAccess
{
    /// <summary>Bytes; 0: there is none that a window could serve.</summary>
    public int Size;

    /// <summary>Base register, or <see cref="ProcessorContext.ZeroRegister"/>.</summary>
    public int Base;

    /// <summary>Index register, or <see cref="ProcessorContext.ZeroRegister"/>.</summary>
    public int Index;

    /// <summary>Shift of the index.</summary>
    public int Scale;

    /// <summary>Distance from their sum; the address if there are none.</summary>
    public long Displacement;

    /// <summary>It writes, or reads and writes.</summary>
    public bool Writes;

    /// <summary>The instruction is the interpreter's, or changes what memory may be accessed: windows end before what follows.</summary>
    public bool EndsWindows;

    /// <summary>Its <see cref="AccessWindow"/>, or -1.</summary>
    public int Window;

    /// <summary>Its first byte's distance from the beginning of the window.</summary>
    public int Offset;

    /// <summary>Its address is known.</summary>
    public readonly bool IsFixed => Base == ProcessorContext.ZeroRegister && Index == ProcessorContext.ZeroRegister;

    /// <summary>Its offset in its page is known.</summary>
    public readonly bool HasKnownOffset => Base is ProcessorContext.ZeroRegister or ProcessorContext.CodePageRegister && Index == ProcessorContext.ZeroRegister;

    /// <summary>Whether its address is formed from the same registers as that of another one.</summary>
    public readonly bool HasSameRegisters(in MemoryAccess other) => Base == other.Base && Index == other.Index && Scale == other.Scale;
}

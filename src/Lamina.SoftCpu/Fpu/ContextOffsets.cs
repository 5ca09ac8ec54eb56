namespace Lamina.SoftCpu.Fpu;

/// <summary>Byte offsets in <see cref="ProcessorContext"/> that stubs and operand descriptors use.</summary>
internal static unsafe class ContextOffsets
{
    public static readonly int Vectors;
    public static readonly int Registers;
    public static readonly int MxcsrWork;
    public static readonly int MxcsrResult;
    public static readonly int StubFlags;

    static ContextOffsets()
    {
        // SAFETY: only addresses are formed; the instance exists because the runtime may touch the base of a fixed buffer.
        ProcessorContext instance = default;
        ProcessorContext* c = &instance;
        Vectors = (int)(c->Vectors - (byte*)c);
        Registers = (int)((byte*)c->Registers - (byte*)c);
        MxcsrWork = (int)((byte*)&c->MxcsrWork - (byte*)c);
        MxcsrResult = (int)((byte*)&c->MxcsrResult - (byte*)c);
        StubFlags = (int)((byte*)&c->StubFlags - (byte*)c);
    }

    /// <summary>Of a vector register.</summary>
    public static int Vector(int register) => Vectors + (register * 32);

    /// <summary>Of a general register.</summary>
    public static int General(int register) => Registers + (register * 8);

    /// <summary>Of an MMX register, when the top of the x87 stack is 0.</summary>
    public static int Mmx(int register) => X87Image.Registers + ((register & 7) * 16);
}

using System.Numerics;

namespace Lamina.SoftCpu.Fpu;

/// <summary>The x87 and MMX state in <see cref="ProcessorContext.X87Image"/>: FXSAVE64 format (Intel SDM volume 1, section 10.5.1), ST(0) first.</summary>
internal static unsafe class X87Image
{
    public const int ControlWord = 0;
    public const int StatusWord = 2;
    public const int Tags = 4;
    public const int LastOpcode = 6;
    public const int InstructionPointer = 8;
    public const int DataPointer = 16;
    public const int Mxcsr = 24;
    public const int Registers = 32;

    /// <summary>Bytes of the image that hold guest state.</summary>
    public const int Length = 160;

    private const ushort ErrorSummary = 0x80;
    private const ushort Busy = 0x8000;
    private const ushort Exceptions = 0x3f;
    private const int TopShift = 11;
    private const ushort ControlBits = 0x1f3f;
    private const ushort ControlFixed = 0x40;

    public static ref ushort Control(ProcessorContext* c) => ref *(ushort*)(c->X87Image + ControlWord);

    public static ref ushort Status(ProcessorContext* c) => ref *(ushort*)(c->X87Image + StatusWord);

    /// <summary>Bit n: physical register n is not empty.</summary>
    public static ref byte AbridgedTags(ProcessorContext* c) => ref c->X87Image[Tags];

    public static ref ushort Opcode(ProcessorContext* c) => ref *(ushort*)(c->X87Image + LastOpcode);

    public static ref ulong InstructionAddress(ProcessorContext* c) => ref *(ulong*)(c->X87Image + InstructionPointer);

    public static ref ulong DataAddress(ProcessorContext* c) => ref *(ulong*)(c->X87Image + DataPointer);

    /// <summary>The top of the stack.</summary>
    public static int Top(ProcessorContext* c) => (Status(c) >> TopShift) & 7;

    /// <summary>ST(n) or, with the top at 0, MMn.</summary>
    public static byte* Register(ProcessorContext* c, int n) => c->X87Image + Registers + (n * 16);

    /// <summary>An unmasked exception is pending.</summary>
    public static bool IsErrorPending(ProcessorContext* c) => (Status(c) & ~Control(c) & Exceptions) != 0;

    /// <summary>Loads the control word, whose undefined bits are fixed, and what follows from it.</summary>
    public static void SetControl(ProcessorContext* c, ushort value)
    {
        Control(c) = (ushort)((value & ControlBits) | ControlFixed);
        Summarize(c);
    }

    /// <summary>Makes ES and B of the status word agree with its flags and the masks.</summary>
    public static void Summarize(ProcessorContext* c)
    {
        ref ushort status = ref Status(c);
        const ushort Both = ErrorSummary | Busy;
        status = (ushort)(IsErrorPending(c) ? status | Both : status & ~Both);
    }

    /// <summary>FNINIT.</summary>
    public static void Initialize(ProcessorContext* c)
    {
        SetTop(c, 0);
        Control(c) = 0x37f;
        Status(c) = 0;
        AbridgedTags(c) = 0;
        Opcode(c) = 0;
        InstructionAddress(c) = 0;
        DataAddress(c) = 0;
    }

    /// <summary>FNCLEX.</summary>
    public static void ClearExceptions(ProcessorContext* c) => Status(c) &= 0x7f00;

    /// <summary>Replaces the status word, keeping the contents of the physical registers.</summary>
    public static void SetStatus(ProcessorContext* c, ushort value)
    {
        SetTop(c, (value >> TopShift) & 7);
        Status(c) = value;
        Summarize(c);
    }

    /// <summary>Moves the top of the stack. The image begins with ST(0), so that the physical registers rotate in it.</summary>
    public static void SetTop(ProcessorContext* c, int top)
    {
        int move = (top - Top(c)) & 7;
        if (move == 0)
        {
            return;
        }

        // SAFETY: 8 registers of 16 bytes at offset 32 of the image.
        byte* old = stackalloc byte[128];
        Buffer.MemoryCopy(c->X87Image + Registers, old, 128, 128);
        for (int n = 0; n < 8; n++)
        {
            Buffer.MemoryCopy(old + (((n + move) & 7) * 16), Register(c, n), 16, 16);
        }

        ref ushort status = ref Status(c);
        status = (ushort)((status & ~(7 << TopShift)) | (top << TopShift));
    }

    /// <summary>The tag word of FSTENV: 0 valid, 1 zero, 2 special, 3 empty, for each physical register.</summary>
    public static ushort FullTags(ProcessorContext* c)
    {
        int tags = 0;
        int top = Top(c);
        for (int physical = 0; physical < 8; physical++)
        {
            tags |= Tag(c, physical, top) << (physical * 2);
        }

        return (ushort)tags;
    }

    /// <summary>Loads the tag word of FSTENV, of which only "empty" counts.</summary>
    public static void SetFullTags(ProcessorContext* c, ushort tags)
    {
        int abridged = 0;
        for (int n = 0; n < 8; n++)
        {
            abridged |= ((tags >> (n * 2)) & 3) != 3 ? 1 << n : 0;
        }

        AbridgedTags(c) = (byte)abridged;
    }

    /// <summary>The state is that after FNINIT and power-up, as XSAVE tracks it.</summary>
    public static bool IsInitial(ProcessorContext* c)
    {
        ulong* image = (ulong*)c->X87Image;
        ulong any = (image[0] ^ 0x37f) | image[1] | image[2];
        for (int n = 0; n < 8; n++)
        {
            any |= *(ulong*)Register(c, n) | *(ushort*)(Register(c, n) + 8);
        }

        return any == 0;
    }

    private static int Tag(ProcessorContext* c, int physical, int top)
    {
        if ((AbridgedTags(c) & (1 << physical)) == 0)
        {
            return 3;
        }

        byte* register = Register(c, (physical - top) & 7);
        ulong significand = *(ulong*)register;
        int exponent = *(ushort*)(register + 8) & 0x7fff;
        return exponent switch
        {
            0 => significand == 0 ? 1 : 2,
            0x7fff => 2,
            _ => BitOperations.LeadingZeroCount(significand) == 0 ? 0 : 2,
        };
    }
}

namespace Lamina.SoftCpu.Translate;

/// <summary>Which host register holds which guest register in translated code (ADR 0006).</summary>
internal static class Host
{
    public const int Rax = 0;
    public const int Rcx = 1;
    public const int Rdx = 2;
    public const int Rbx = 3;
    public const int Rsp = 4;
    public const int Rbp = 5;
    public const int Rsi = 6;
    public const int Rdi = 7;

    /// <summary>Scratch: the linear, then the host address of a memory operand.</summary>
    public const int Address = 10;

    /// <summary>Scratch.</summary>
    public const int Temporary = 11;

    /// <summary>Scratch.</summary>
    public const int Value = 14;

    /// <summary>Guest RSP.</summary>
    public const int GuestStack = 15;

    /// <summary>The host register of a guest register, or -1 if it lives in the context: R10, R11, R14, R15 and the page of shared code.</summary>
    public static int Of(int guest) => guest switch
    {
        4 => GuestStack,
        10 or 11 or 14 or 15 or ProcessorContext.CodePageRegister => -1,
        _ => guest,
    };
}

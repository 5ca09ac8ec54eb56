namespace Lamina.SoftCpu;

/// <summary>Why a processor should look up between two blocks.</summary>
[Flags]
internal enum AttentionBits
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary><c>Run</c> is to return.</summary>
    Exit = 1,

    /// <summary>A maskable interrupt may be deliverable.</summary>
    Interrupt = 2,

    /// <summary>A non-maskable interrupt is pending.</summary>
    NonMaskable = 4,

    /// <summary>INIT.</summary>
    Init = 8,

    /// <summary>A start-up message has arrived.</summary>
    StartUp = 16,

    /// <summary>Another processor waits for this one at a safe point.</summary>
    SafePoint = 32,

    /// <summary>Single step, debug registers or an interrupt shadow: run one instruction at a time.</summary>
    Step = 64,

    /// <summary>The processor has halted or waits for a start-up message.</summary>
    Halt = 128,

    /// <summary>Translations are to be dropped, because another processor asks for it.</summary>
    Drop = 256,

    /// <summary>Other processors were asked to drop translations, and nothing is executed until they have.</summary>
    AwaitDrops = 512,
}

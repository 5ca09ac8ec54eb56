using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Reports a pending unmasked x87 exception at a waiting instruction (Intel SDM volume 1, section 8.7).</summary>
internal static unsafe class X87Errors
{
    private const ulong NumericError = 0x20;

    /// <summary>
    /// #MF with CR0.NE set. Otherwise FERR#, if it is wired: then the instruction waits for an interrupt; if not, the exception is ignored and the answer
    /// is true.
    /// </summary>
    public static bool Signal(ProcessorContext* c)
    {
        if ((c->Cr0 & NumericError) != 0)
        {
            return Fault.FloatingPoint(c);
        }

        if (c->FloatingPointErrorPin == null)
        {
            return true;
        }

        c->FloatingPointErrorPin(c);
        c->Outcome = HandlerOutcome.Yield;
        return false;
    }
}

using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Single step across instructions for which the TF of before does not count: what they set TF to does.</summary>
internal static unsafe class TrapFlag
{
    /// <summary>
    /// Leaves the block without the single-step trap that the TF of before this instruction would cause. Answers <c>false</c>, for a handler to return.
    /// </summary>
    public static bool Cancel(ProcessorContext* c)
    {
        c->Outcome = HandlerOutcome.Continue;
        return false;
    }

    /// <summary>Raises the single-step trap at the address to which this instruction has gone. Answers <c>false</c>, for a handler to return.</summary>
    public static bool TrapNow(ProcessorContext* c)
    {
        c->Dr6 |= DebugUnit.SingleStep;
        Fault.Raise(c, Fault.DebugVector);
        c->Outcome = HandlerOutcome.Trap;
        return false;
    }
}

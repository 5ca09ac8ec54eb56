using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>RFLAGS.RF as a return from an event restores it (Intel SDM volume 3, section 18.3.1.1).</summary>
internal static unsafe class ResumeFlag
{
    /// <summary>
    /// Replaces RFLAGS. RF holds off instruction breakpoints for the next instruction and is then cleared; where none are armed it is dropped at once, so
    /// that not every return from a fault leads to a single step.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetAll(ProcessorContext* c, uint flags)
    {
        Flags.Set(c, c->WatchesInstructions ? flags : flags & ~Flags.Resume);
    }
}

using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Event delivery in real mode (Intel SDM volume 3, section 21.1.4).</summary>
internal static unsafe class RealModeVectors
{
    public static bool Deliver(ProcessorContext* c, in PendingEvent e)
    {
        uint offset = e.Vector * 4u;
        if (offset + 3 > c->IdtLimit)
        {
            return Fault.GeneralProtection(c);
        }

        if (!SystemMemory.Load(c, c->IdtBase + offset, out uint entry))
        {
            return false;
        }

        StackWriter stack = StackWriter.Current(c);
        ref SegmentCache cs = ref c->Segments[SegmentRegister.Cs];
        if (!stack.Push(c, e.Flags & 0xffff, 2) || !stack.Push(c, cs.Selector, 2) || !stack.Push(c, e.Rip, 2))
        {
            return false;
        }

        ushort target = (ushort)entry;
        if (target > cs.Limit)
        {
            return Fault.GeneralProtection(c);
        }

        stack.Commit(c);
        CodeLoader.EnterUnprotected(c, (ushort)(entry >> 16), target);
        const uint cleared = Flags.Interrupt | Flags.Trap | Flags.AlignmentCheck | Flags.Resume;
        Flags.SetSystem(c, c->SystemFlags & ~cleared);
        return true;
    }
}

using Lamina.SoftCpu;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>16- and 32-bit code, in compatibility mode with segments of any base and limit.</summary>
internal sealed unsafe partial class GuestProcessor
{
    private const int UserLevel = 3;
    private const ulong AccessedBit = 1UL << 40;

    private void LoadSegments(ProcessorContext* c, TestCase test)
    {
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            SegmentValue s = test.Segments[n];
            c->Segments[n] = new SegmentCache { Selector = s.Selector, Base = s.Base, Limit = s.Limit, Attributes = s.Attributes };
        }

        DescriptorList.All.CopyTo(new Span<ulong>(_tables + Gdt, DescriptorList.All.Length));
        c->Cpl = UserLevel;
        c->Halted = false;
        c->InterruptShadow = false;
        c->StackSegmentShadow = false;
        Flags.Set(c, 2);
        ProcessorMode.Update(c);
    }

    private void StoreSegments(ProcessorContext* c, ref CaseResult result)
    {
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            ref SegmentCache s = ref c->Segments[n];
            result.Segments[n] = new SegmentValue(s.Selector, (uint)s.Base, s.Limit, s.Attributes);
        }

        result.Accessed = 0;
        for (int n = 0; n < DescriptorList.All.Length; n++)
        {
            bool set = (((ulong*)(_tables + Gdt))[n] & ~DescriptorList.All[n] & AccessedBit) != 0;
            result.Accessed |= (ushort)(set ? 1 << n : 0);
        }
    }

    // A software interrupt is delivered by the instruction itself: what it interrupted is in the frame.
    private void TakeDelivered(ProcessorContext* c, ref CaseResult result)
    {
        result.Vector = (int)((c->Rip - High - Handlers) / HandlerSize);
        ulong* frame = (ulong*)(_tables + (c->Registers[4] - High));
        Store(c, ref result.State);
        StoreSegments(c, ref result);
        TakeFrame(frame, ref result);
        result.IsDelivered = true;
    }

    // RIP, CS, RFLAGS, RSP and SS of what was interrupted. The hidden parts of CS and SS are lost.
    private static void TakeFrame(ulong* frame, ref CaseResult result)
    {
        const int stackPointer = 4;
        result.Rip = frame[0];
        result.Segments[SegmentValues.Cs] = new SegmentValue((ushort)frame[1], 0, 0, 0);
        result.Segments[SegmentValues.Ss] = new SegmentValue((ushort)frame[4], 0, 0, 0);
        result.State.Flags = frame[2];
        fixed (ulong* general = result.State.General)
        {
            general[stackPointer] = frame[3];
        }
    }
}

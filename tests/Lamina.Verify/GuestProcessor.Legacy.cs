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

        DescriptorList.All.CopyTo(_tables.Descriptors);
        for (int n = 0; n < DescriptorList.LocalCount; n++)
        {
            _tables.LocalDescriptors[n] = DescriptorList.GetLocal(test.Segments, n);
        }

        c->LocalDescriptorTable = new SegmentCache { Base = GuestTables.High + GuestTables.Ldt, Limit = (DescriptorList.LocalCount * sizeof(ulong)) - 1, Attributes = 0x82 };
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
            bool set = (_tables.Descriptors[n] & ~DescriptorList.All[n] & AccessedBit) != 0;
            result.Accessed |= (ushort)(set ? 1 << n : 0);
        }
    }

    // A software interrupt is delivered by the instruction itself: what it interrupted is in the frame.
    private void TakeDelivered(ProcessorContext* c, ref CaseResult result)
    {
        result.Vector = (int)GuestTables.Handler(c->Rip);
        Store(c, ref result.State);
        StoreSegments(c, ref result);
        GuestTables.TakeFrame(_tables.Frame(c->Registers[4]), ref result);
        result.IsDelivered = true;
    }
}

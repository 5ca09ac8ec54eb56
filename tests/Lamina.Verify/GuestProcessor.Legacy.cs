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

    private CodeMode _mode;

    // Real mode has its interrupt vectors in the data that cannot be written.
    private void SetMode(ProcessorContext* c, CodeMode mode)
    {
        const ulong enabled = 0x8005_0033;
        const ulong real = 0x32;
        const ulong longMode = 0xd01;
        const ulong noExecute = 0x800;
        if (mode == _mode)
        {
            return;
        }

        _mode = mode;
        c->Cr0 = mode == CodeMode.Real ? real : enabled;
        c->Efer = mode == CodeMode.Protected ? longMode : noExecute;
        c->Cr3 = mode == CodeMode.Protected ? GuestTables.Root : GuestTables.LegacyRoot;
        c->IdtBase = mode == CodeMode.Real ? Arena.ReadOnly : GuestTables.High + GuestTables.Idt;
        c->IdtLimit = mode == CodeMode.Real ? ModelProcessor.RealVectorsLimit : GuestTables.IdtLimit;
        if (mode == CodeMode.V86 && !_processor.LoadPageDirectoryPointers(c->Cr3))
        {
            throw new InvalidOperationException("The page tables of virtual-8086 mode are wrong.");
        }

        Flags.Set(c, 2);
        ProcessorMode.Update(c);
        MemoryUnit.FlushTlb(c);
    }

    private void LoadSegments(ProcessorContext* c, TestCase test)
    {
        SetMode(c, test.Mode);
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
        Flags.Set(c, 2 | (test.Mode == CodeMode.V86 ? Flags.Virtual8086 : 0));
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

using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.SoftCpu.Memory;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// The translator runs the instruction as a guest does: with breakpoints behind it, and exceptions delivered to CPL 0, each to a HLT of its own. What was pushed is the result.
/// </summary>
internal sealed unsafe partial class GuestProcessor
{
    private const byte Breakpoint = 0xcc;
    private const ulong ResumeFlag = 0x1_0000;

    private static void PrepareExceptions(ProcessorContext* c)
    {
        c->TaskRegister = new SegmentCache { Base = GuestTables.High + GuestTables.TaskState, Limit = GuestTables.TaskStateLimit, Attributes = 0x8b };
        c->IdtBase = GuestTables.High + GuestTables.Idt;
        c->IdtLimit = GuestTables.IdtLimit;
        c->GdtBase = GuestTables.High + GuestTables.Gdt;
        c->GdtLimit = (ushort)((DescriptorList.All.Length * 8) - 1);
    }

    private void RunTranslated(ProcessorContext* c, TestCase test, ref CaseResult result)
    {
        Span<byte> slot = _arena.Instructions;
        test.Instruction.CopyTo(slot);
        slot[test.Length..].Fill(Breakpoint);
        _partition.Blocks.InvalidateCode(Arena.Slot, (ulong)slot.Length);
        if (test.Bits == 64 && _subject != Subject.Interpreter)
        {
            HeatBlock(c, Arena.Slot);
            for (int n = 0, at = 0; n < test.Lengths.Count && test.HasJumps; at += test.Lengths[n++])
            {
                HeatBlock(c, Arena.Slot + (ulong)at);
            }
        }

        ProcessorExit exit = _processor.Run();
        if (exit.Reason != ProcessorExitReason.Halted)
        {
            throw new InvalidOperationException($"the guest ended with {exit}");
        }

        TakeException(c, test, ref result);
    }

    // It is translated at once.
    private void HeatBlock(ProcessorContext* c, ulong address)
    {
        const int interpreted = 255;
        if (_partition.Blocks.Create(c, address, 8) is var block && block != null)
        {
            block->Heat = interpreted;
        }
    }

    private void TakeException(ProcessorContext* c, TestCase test, ref CaseResult result)
    {
        Store(c, ref result.State);
        if (test.Bits == 64)
        {
            StoreSelectors(c, ref result);
        }
        else
        {
            StoreSegments(c, ref result);
            result.IsDelivered = true;
        }

        uint? codeBase = test.Bits == 64 ? null : test.Segments[SegmentValues.Cs].Base;
        _tables.TakeException((int)GuestTables.Handler(c->Rip - 1), c->Registers[4], c->Cr2, Start(test) + (ulong)test.Length, codeBase, ref result);
        if (test.Bits != 64)
        {
            // That of a fault is the frame's.
            result.State.Flags &= ~ResumeFlag;
        }
    }
}

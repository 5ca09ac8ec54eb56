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
    private const ulong High = 0xffff_ffff_8000_0000;
    private const ulong Idt = 0x5000;
    private const ulong Gdt = 0x5800;
    private const ulong Handlers = 0x6000;
    private const ulong TaskState = 0x7000;
    private const ulong StackTop = 0x9000;
    private const ulong HighDirectories = 0x9000;
    private const int HandlerSize = 16;
    private const int PortMapBase = 0x66;
    private const int Vectors = 32;
    private const byte Breakpoint = 0xcc;
    private const byte Halt = 0xf4;
    private const int BreakpointTrap = 3;
    private const int OverflowTrap = 4;
    private const int PageFault = 14;
    private const uint Fetch = 16;
    private const ulong ResumeFlag = 0x1_0000;

    private void PrepareExceptions(ProcessorContext* c)
    {
        const ushort code = 8;
        const ulong interruptGate = 0x8eUL << 40;
        *(ulong*)(_tables + 0x1000 + (511 * 8)) = HighDirectories | Present | Writable;
        *(ulong*)(_tables + HighDirectories + (510 * 8)) = (HighDirectories + 0x1000) | Present | Writable;
        *(ulong*)(_tables + HighDirectories + 0x1000) = 0x80 | Present | Writable;
        for (ulong vector = 0; vector < Vectors; vector++)
        {
            ulong handler = High + Handlers + (vector * HandlerSize);
            ulong* gate = (ulong*)(_tables + Idt + (vector * 16));
            gate[0] = (handler & 0xffff) | ((ulong)code << 16) | interruptGate | ((vector is BreakpointTrap or OverflowTrap ? 3UL : 0) << 45) | (((handler >> 16) & 0xffff) << 48);
            gate[1] = handler >> 32;
            _tables[Handlers + (vector * HandlerSize)] = Halt;
        }

        *(ulong*)(_tables + TaskState + 4) = High + StackTop;
        *(ushort*)(_tables + TaskState + PortMapBase) = ushort.MaxValue;
        c->TaskRegister = new SegmentCache { Base = High + TaskState, Limit = 0x67, Attributes = 0x8b };
        c->LocalDescriptorTable = new SegmentCache { Attributes = SegmentCache.Unusable };
        c->IdtBase = High + Idt;
        c->IdtLimit = (Vectors * 16) - 1;
        c->GdtBase = High + Gdt;
        c->GdtLimit = (ushort)((DescriptorList.All.Length * 8) - 1);
    }

    private void RunTranslated(ProcessorContext* c, TestCase test, ref CaseResult result)
    {
        const int interpreted = 255;
        Span<byte> slot = _arena.Instructions;
        test.Instruction.CopyTo(slot);
        slot[test.Length..].Fill(Breakpoint);
        _partition.Blocks.InvalidateCode(Arena.Slot, (ulong)slot.Length);
        if (test.Bits == 64 && _subject != Subject.Interpreter && _partition.Blocks.Create(c, Arena.Slot, 8) is var block && block != null)
        {
            // It is translated at once.
            block->Heat = interpreted;
        }

        ProcessorExit exit = _processor.Run();
        if (exit.Reason != ProcessorExitReason.Halted)
        {
            throw new InvalidOperationException($"the guest ended with {exit}");
        }

        TakeException(c, test, ref result);
    }

    private void TakeException(ProcessorContext* c, TestCase test, ref CaseResult result)
    {
        const ulong error = 0x27d00;
        int vector = (int)((c->Rip - 1 - High - Handlers) / HandlerSize);
        ulong* frame = (ulong*)(_tables + (c->Registers[4] - High));
        bool hasCode = (error >> vector & 1) != 0;
        result.ErrorCode = hasCode ? (uint)*frame++ : 0;
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

        TakeFrame(frame, ref result);
        ulong start = Start(test);
        ulong code = test.Bits == 64 ? 0 : test.Segments[SegmentValues.Cs].Base;
        result.Vector = vector;
        result.Address = c->Cr2;
        if (vector == BreakpointTrap && result.Rip != start + (ulong)test.Length)
        {
            result.Vector = CaseResult.None;
            result.Rip--;
        }
        else if (vector == PageFault && (result.ErrorCode & Fetch) != 0 && result.Address == (test.Bits == 64 ? result.Rip : (uint)(result.Rip + code)))
        {
            result.Vector = CaseResult.None;
        }

        if (test.Bits != 64)
        {
            // That of a fault is the frame's.
            result.State.Flags &= ~ResumeFlag;
        }
    }
}

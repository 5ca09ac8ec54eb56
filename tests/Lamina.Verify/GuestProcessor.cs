using Lamina.Machine.Memory;
using Lamina.SoftCpu;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Tests.Fpu;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>The software CPU, at CPL 3 but for real mode, with the arena's pages at the host's addresses, and above them what only CPL 0 may access.</summary>
internal sealed unsafe partial class GuestProcessor : IDisposable
{
    private readonly GuestTables _tables = new();
    private readonly GuestMemory _memory;
    private readonly SoftwarePartition _partition;
    private readonly SoftwareProcessor _processor;
    private readonly Arena _arena;
    private readonly Subject _subject;
    private readonly HostSegments _host;

    public GuestProcessor(Arena arena, Subject subject, HostSegments host)
    {
        _arena = arena;
        _subject = subject;
        _host = host;
        _memory = new GuestMemory(
        [
            new GuestMemoryRegion(0, GuestTables.Size, (nint)_tables.Pointer),
            new GuestMemoryRegion(Arena.Code, Arena.PageSize, arena.CodeAlias),
            new GuestMemoryRegion(Arena.Data, Arena.DataSize, (nint)Arena.Data),
            new GuestMemoryRegion(Arena.ReadOnly, Arena.PageSize, arena.ReadOnlyAlias),
        ]);
        _partition = new SoftwarePartition(
            TestPartition.Settings(_memory),
            translates: subject != Subject.Interpreter,
            blockArenaSize: 1 << 20,
            codeSize: 4 << 20,
            options: new TranslatorOptions { HotThreshold = subject == Subject.Optimized ? 0 : 1 << 30 });
        _processor = (SoftwareProcessor)_partition.CreateProcessor(0);
        ProcessorContext* c = _processor.Context;
        c->Cr0 = 0x8005_0033;
        c->Cr3 = GuestTables.Root;
        c->Cr4 = 0x4_0620;
        c->Efer = 0xd01;
        c->Xcr0 = 7;
        LoadWideSegments(c);
        c->SystemFlags = 2;
        ProcessorMode.Update(c);
        PrepareExceptions(c);
        X87Image.Initialize(c);
        MemoryUnit.FlushTlb(c);
    }

    // With the host's selectors, and its descriptors.
    private void LoadWideSegments(ProcessorContext* c)
    {
        SetMode(c, CodeMode.Protected);
        bool updates = c->CodeSize != 8 || c->Cpl != UserLevel;
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            c->Segments[n] = new SegmentCache { Selector = _host.Selectors[n], Limit = uint.MaxValue, Attributes = n == SegmentRegister.Cs ? 0xa0fbu : 0xc0f3u };
            c->SegmentBase[n] = 0;
        }

        _host.Descriptors.CopyTo(_tables.Descriptors);
        c->LocalDescriptorTable = new SegmentCache { Attributes = SegmentCache.Unusable };
        c->Cpl = UserLevel;
        c->Halted = false;
        c->InterruptShadow = false;
        c->StackSegmentShadow = false;
        if (updates)
        {
            ProcessorMode.Update(c);
        }
    }

    /// <summary>Executes; the arena's data is the instruction's.</summary>
    public void Run(TestCase test, ref CaseResult result)
    {
        ProcessorContext* c = _processor.Context;
        result.IsDelivered = false;
        if (test.Bits != 64)
        {
            LoadSegments(c, test);
        }
        else
        {
            LoadWideSegments(c);
        }

        ulong start = Start(test);
        Load(c, in test.State, start);
        if ((_subject != Subject.Interpreter && test.Mode == CodeMode.Protected) || test.IsSequence)
        {
            RunTranslated(c, test, ref result);
            return;
        }

        byte* bytes = stackalloc byte[16];
        test.Code.AsSpan(0, 16).CopyTo(new Span<byte>(bytes, 16));
        Instruction i;
        switch (Decoder.Decode(bytes, TestCase.MaximumLength, c->CodeSize, out i))
        {
            case DecodeStatus.Done:
                Execute(c, &i, test, start, ref result);
                break;
            case DecodeStatus.Undefined:
                result.Vector = Fault.InvalidOpcodeVector;
                result.ErrorCode = 0;
                break;
            default:
                result.Vector = Fault.GeneralProtectionVector;
                result.ErrorCode = 0;
                break;
        }

        // Handlers of branches set RIP, the others leave it to the caller.
        result.Rip = result.Vector == CaseResult.None && c->Rip == start ? start + (ulong)test.Length : c->Rip;
        result.Address = c->Cr2;
        if (result.Vector == CaseResult.None && c->Cpl != UserLevel && test.Mode != CodeMode.Real)
        {
            TakeDelivered(c, ref result);
        }
        else if (test.Bits == 64)
        {
            Store(c, ref result.State);
            StoreSelectors(c, ref result);
        }
        else
        {
            Store(c, ref result.State);
            StoreSegments(c, ref result);
        }
    }

    public void Dispose()
    {
        _processor.Dispose();
        _partition.Dispose();
        _memory.Dispose();
        _tables.Dispose();
    }

    private void Execute(ProcessorContext* c, Instruction* i, TestCase test, ulong start, ref CaseResult result)
    {
        _partition.Bind(i, c->CodeSize);
        bool done;
        do
        {
            c->Outcome = HandlerOutcome.Continue;
            done = i->Handler(c, i);
        }
        while (!done && c->Outcome == HandlerOutcome.Yield);

        result.Vector = done || c->Outcome == HandlerOutcome.Continue ? CaseResult.None : c->Outcome is HandlerOutcome.Fault or HandlerOutcome.Trap ? c->FaultVector : 0x100 + (int)c->Outcome;
        result.ErrorCode = result.Vector >= 0 && c->FaultHasCode ? c->FaultCode : 0;
        if (i->Length != test.Length && result.Vector != Fault.InvalidOpcodeVector)
        {
            // A length of its own is a difference of the address that follows.
            c->Rip = result.Vector == CaseResult.None && c->Rip == start ? start + i->Length : c->Rip;
        }
    }

    private static void Load(ProcessorContext* c, in NativeState state, ulong start)
    {
        fixed (NativeState* s = &state)
        {
            Buffer.MemoryCopy(s->Vectors, c->Vectors, 512, 512);
            Buffer.MemoryCopy(s->General, c->Registers, 128, 128);
            Buffer.MemoryCopy(s->X87, c->X87Image, 512, X87Image.Length);
            c->Registers[ProcessorContext.ZeroRegister] = 0;
            Flags.Set(c, (uint)s->Flags);
            c->Mxcsr = s->Mxcsr;
        }

        X87Image.Summarize(c);
        c->Rip = start;
        c->Cr2 = 0;
    }

    private static void Store(ProcessorContext* c, ref NativeState state)
    {
        fixed (NativeState* s = &state)
        {
            Buffer.MemoryCopy(c->Vectors, s->Vectors, 512, 512);
            Buffer.MemoryCopy(c->Registers, s->General, 128, 128);
            Buffer.MemoryCopy(c->X87Image, s->X87, 512, X87Image.Length);
            s->Flags = Flags.Get(c);
            s->Mxcsr = c->Mxcsr;
        }
    }

    private static ulong Start(TestCase test) => test.Bits == 64 ? Arena.Slot : (uint)Arena.Slot - test.Segments[SegmentValues.Cs].Base;

    private static void StoreSelectors(ProcessorContext* c, ref CaseResult result)
    {
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            result.Segments[n] = new SegmentValue(c->Segments[n].Selector, 0, 0, 0);
        }
    }
}

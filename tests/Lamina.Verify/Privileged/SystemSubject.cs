using System.Runtime.InteropServices;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Segmentation;
using Lamina.SoftCpu.Tests.Execute;
using Lamina.SoftCpu.Tests.Machines;

namespace Lamina.Verify.Privileged;

/// <summary>The software CPU as the machine of a <see cref="MachineImage"/>: the interpreter for one instruction, or the translator until VMCALL, which lies where code goes on.</summary>
internal sealed unsafe class SystemSubject : IDisposable
{
    /// <summary>For how long at most a run that has gone astray goes on.</summary>
    private const int MostMilliseconds = 2000;

    /// <summary>How often it is looked at.</summary>
    private const int LookMilliseconds = 20;

    /// <summary>More instructions than any program or handler has.</summary>
    private const ulong MostInstructions = 100_000;

    private readonly byte* _ram = (byte*)NativeMemory.AlignedAlloc(MachineImage.MemorySize, 4096);
    private readonly StopPersonality _stop = new();
    private readonly FakeController _controller = new();
    private readonly GuestMemory _memory;
    private readonly SoftwarePartition _partition;
    private readonly SoftwareProcessor _processor;
    private readonly bool _translates;
    private readonly Timer _watch;
    private ulong _retired;
    private int _looks;

    public SystemSubject(Subject subject)
    {
        _translates = subject != Subject.Interpreter;
        _memory = new GuestMemory([new GuestMemoryRegion(0, MachineImage.MemorySize, (nint)_ram)]);
        _partition = new SoftwarePartition(
            TestPartition.Settings(_memory) with { Personality = _stop },
            translates: _translates,
            blockArenaSize: 1 << 20,
            codeSize: 4 << 20,
            options: new TranslatorOptions { HotThreshold = subject == Subject.Optimized ? 0 : 1 << 30 });
        _processor = (SoftwareProcessor)_partition.CreateProcessor(0);
        _processor.Controller = _controller;
        _stop.Processor = _processor;
        _watch = new Timer(_ => Watch());
    }

    public bool IsShutdown { get; private set; }

    /// <summary>It did not come to an end, and was stopped.</summary>
    public bool IsAstray { get; private set; }

    /// <summary>Executes one instruction of a machine, or its program, and leaves in it what comes out.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="executed">Of a program: the instructions that are expected to be executed.</param>
    /// <param name="mutation">What is to be wrong in a program, or null.</param>
    public void Execute(MachineImage machine, IReadOnlyList<ExecutedInstruction> executed, ProgramMutation? mutation)
    {
        Load(machine);
        IsAstray = false;
        if (machine[MachineRegister.Steps] != 0)
        {
            RunProgram(executed, mutation);
        }
        else if (machine[MachineRegister.Event] is not 0 and var pending)
        {
            const ulong maskable = 0x100;
            IsShutdown = !_processor.DeliverOne((byte)pending, (pending & maskable) != 0 ? EventKind.ExternalInterrupt : EventKind.NonMaskable, hasCode: false, 0);
            machine[MachineRegister.Event] = 0;
        }
        else if (_translates)
        {
            Run();
        }
        else
        {
            IsShutdown = !_processor.ExecuteOne();
        }

        Store(machine);
    }

    public void Dispose()
    {
        _watch.Dispose();
        _processor.Dispose();
        _partition.Dispose();
        _memory.Dispose();
        NativeMemory.AlignedFree(_ram);
    }

    private void Run()
    {
        ProcessorContext* c = _processor.Context;
        if (c->CodeSize == 8)
        {
            // The instruction is translated at once; linear addresses end as physical ones do.
            Heat(c, c->Rip & (MachineImage.MemorySize - 1));
        }

        RunToStop(c);
    }

    // All of its instructions are translated at once, wherever blocks of them begin.
    private void RunProgram(IReadOnlyList<ExecutedInstruction> executed, ProgramMutation? mutation)
    {
        ProcessorContext* c = _processor.Context;
        PatchedProgram patches = new(new Span<byte>(_ram, MachineImage.MemorySize), executed, mutation);
        if (_translates || mutation is { KeepsCode: true })
        {
            foreach (ExecutedInstruction i in executed)
            {
                Heat(c, i.Physical);
            }
        }

        if (mutation is { KeepsCode: true })
        {
            for (ulong page = 0; page < MachineImage.MemorySize; page += SystemLayout.PageSize)
            {
                _memory.RemovePageAttributes(page, PageAttributes.Code);
            }
        }

        _stop.Intercept = patches.IsEmpty ? null : () => TryExecutePatched(patches);
        RunToStop(c);
        _stop.Intercept = null;
        patches.Restore(new Span<byte>(_ram, MachineImage.MemorySize));
    }

    // Whether VMCALL stands for an instruction that is executed wrongly.
    private bool TryExecutePatched(PatchedProgram patches)
    {
        ProcessorContext* c = _processor.Context;
        ulong linear = c->CodeSize == 8 ? c->Rip : (uint)(c->Segments[SegmentRegister.Cs].Base + c->Rip);
        return _processor.TryTranslate(linear, write: false, out ulong physical) && patches.TryExecute(physical, c);
    }

    private void RunToStop(ProcessorContext* c)
    {
        const int length = 3;
        _stop.IsReached = false;
        _looks = 0;
        _retired = _processor.InstructionsRetired;
        _watch.Change(LookMilliseconds, LookMilliseconds);
        ProcessorExit exit = _processor.Run();
        _watch.Change(Timeout.Infinite, Timeout.Infinite);
        IsShutdown = exit.Reason == ProcessorExitReason.Shutdown;
        IsAstray = exit.Reason == ProcessorExitReason.Requested && !_stop.IsReached;
        c->Rip -= _stop.IsReached ? length : 0u;
    }

    private void Watch()
    {
        if (++_looks * LookMilliseconds >= MostMilliseconds || _processor.InstructionsRetired - _retired > MostInstructions)
        {
            _processor.RequestExit();
        }
    }

    private void Heat(ProcessorContext* c, ulong address)
    {
        const int interpreted = 255;
        if (_partition.Blocks.Create(c, address, Block.ModeOf(c)) is var block && block != null)
        {
            block->Heat = interpreted;
        }
    }

    private void Load(MachineImage m)
    {
        ProcessorContext* c = _processor.Context;
        m.Memory.AsSpan().CopyTo(new Span<byte>(_ram, MachineImage.MemorySize));
        _partition.Blocks.InvalidateCode(0, MachineImage.MemorySize);
        for (int n = 0; n < MachineImage.GeneralCount; n++)
        {
            c->Registers[n] = m.General[n];
        }

        c->Registers[ProcessorContext.ZeroRegister] = 0;
        for (int n = 0; n < 6; n++)
        {
            c->Segments[n] = Cache(m.Segments[n]);
        }

        c->LocalDescriptorTable = Cache(m.Segments[MachineImage.LocalTable]);
        c->TaskRegister = Cache(m.Segments[MachineImage.Task]);
        c->Rip = m.Rip;
        c->Cr0 = m[MachineRegister.Cr0];
        c->Cr2 = m[MachineRegister.Cr2];
        c->Cr3 = m[MachineRegister.Cr3];
        c->Cr4 = m[MachineRegister.Cr4];
        _controller.TaskPriorityClass = (byte)m[MachineRegister.Cr8];
        c->Efer = m[MachineRegister.Efer];
        c->Xcr0 = m[MachineRegister.Xcr0];
        for (int n = 0; n < 4; n++)
        {
            c->DebugAddress[n] = m[MachineRegister.Dr0 + n];
        }

        c->Dr6 = m[MachineRegister.Dr6];
        c->Dr7 = m[MachineRegister.Dr7];
        c->GdtBase = m[MachineRegister.GdtBase];
        c->GdtLimit = (ushort)m[MachineRegister.GdtLimit];
        c->IdtBase = m[MachineRegister.IdtBase];
        c->IdtLimit = (ushort)m[MachineRegister.IdtLimit];
        c->Star = m[MachineRegister.Star];
        c->Lstar = m[MachineRegister.Lstar];
        c->Cstar = m[MachineRegister.Cstar];
        c->Fmask = m[MachineRegister.Fmask];
        c->KernelGsBase = m[MachineRegister.KernelGsBase];
        c->SysenterCs = m[MachineRegister.SysenterCs];
        c->SysenterEsp = m[MachineRegister.SysenterEsp];
        c->SysenterEip = m[MachineRegister.SysenterEip];
        c->TscAux = m[MachineRegister.TscAux];
        c->Halted = false;
        c->InterruptShadow = false;
        c->StackSegmentShadow = false;
        c->PendingDebugTraps = 0;
        c->NonMaskableBlocked = false;
        c->Cpl = (byte)m.Cpl;
        Flags.Set(c, m.Flags);
        c->Attention = 0;
        if ((m[MachineRegister.Cr0] >> 31) != 0 && (m[MachineRegister.Cr4] & 0x20) != 0 && !m.IsLong)
        {
            _processor.LoadPageDirectoryPointers(c->Cr3);
        }

        DebugUnit.Update(c);
        MemoryUnit.FlushTlb(c);
    }

    private void Store(MachineImage m)
    {
        ProcessorContext* c = _processor.Context;
        new Span<byte>(_ram, MachineImage.MemorySize).CopyTo(m.Memory);
        for (int n = 0; n < MachineImage.GeneralCount; n++)
        {
            m.General[n] = c->Registers[n];
        }

        for (int n = 0; n < 6; n++)
        {
            m.Segments[n] = Image(c->Segments[n]);
        }

        m.Segments[MachineImage.LocalTable] = Image(c->LocalDescriptorTable);
        m.Segments[MachineImage.Task] = Image(c->TaskRegister);
        m.Rip = c->Rip;
        m.Flags = Flags.Get(c);
        m.Cpl = c->Cpl;
        m[MachineRegister.Cr0] = c->Cr0;
        m[MachineRegister.Cr2] = c->Cr2;
        m[MachineRegister.Cr3] = c->Cr3;
        m[MachineRegister.Cr4] = c->Cr4;
        m[MachineRegister.Cr8] = _controller.TaskPriorityClass;
        m[MachineRegister.Efer] = c->Efer;
        m[MachineRegister.Xcr0] = c->Xcr0;
        for (int n = 0; n < 4; n++)
        {
            m[MachineRegister.Dr0 + n] = c->DebugAddress[n];
        }

        m[MachineRegister.Dr6] = c->Dr6;
        m[MachineRegister.Dr7] = c->Dr7;
        m[MachineRegister.GdtBase] = c->GdtBase;
        m[MachineRegister.GdtLimit] = c->GdtLimit;
        m[MachineRegister.IdtBase] = c->IdtBase;
        m[MachineRegister.IdtLimit] = c->IdtLimit;
        m[MachineRegister.Star] = c->Star;
        m[MachineRegister.Lstar] = c->Lstar;
        m[MachineRegister.Cstar] = c->Cstar;
        m[MachineRegister.Fmask] = c->Fmask;
        m[MachineRegister.KernelGsBase] = c->KernelGsBase;
        m[MachineRegister.SysenterCs] = c->SysenterCs;
        m[MachineRegister.SysenterEsp] = c->SysenterEsp;
        m[MachineRegister.SysenterEip] = c->SysenterEip;
        m[MachineRegister.TscAux] = c->TscAux;
        m[MachineRegister.Halted] = c->Halted ? 1UL : 0;
        m[MachineRegister.StackShadow] = c->StackSegmentShadow ? 1UL : 0;
    }

    private static SegmentCache Cache(in SegmentImage s) => new() { Selector = s.Selector, Base = s.Base, Limit = s.Limit, Attributes = s.Attributes };

    private static SegmentImage Image(in SegmentCache s) => new(s.Selector, s.Base, s.Limit, s.Attributes);
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>One vCPU of the software CPU: the managed half of a <see cref="ProcessorContext"/>.</summary>
internal sealed unsafe partial class SoftwareProcessor : IVirtualProcessor, ILinearTranslation, ICallingProcessor, ICallingRegisters
{
    private const ulong PageMask = ~0xfffUL;
    private const uint DefaultMxcsr = 0x1f80;

    private readonly SoftwarePartition _partition;
    private readonly GuestMemory _memory;
    private readonly BlockCache _blocks;
    private readonly ProcessorContext* _context;
    private GCHandle _handle;
    private volatile bool _inGuest;

    public SoftwareProcessor(SoftwarePartition partition, int index)
    {
        _partition = partition;
        _memory = partition.Memory;
        _blocks = partition.Blocks;
        _code = partition.Code;
        Index = index;
        Features = partition.Features;
        Cpuid = new CpuidTable(partition.Settings.Cpuid);
        Msrs = new MsrBank(this, partition.Settings);
        int bits = partition.Settings.PhysicalAddressBits;
        ReservedAddressBits = ((1UL << 52) - 1) & ~((1UL << bits) - 1);
        _handle = GCHandle.Alloc(this);

        // SAFETY: native memory, freed in Dispose; zeroed, so every field starts defined.
        _context = (ProcessorContext*)NativeMemory.AlignedAlloc((nuint)sizeof(ProcessorContext), 64);
        *_context = default;
        Tlb = new Tlb(_context->Slots);
        _context->TlbArrays = Tlb.Entries;
        _context->UserTlb = Tlb.UserArray;
        _context->VectorsOff = 1;
        _context->X87Off = 1;
        _context->HostMxcsr = DefaultMxcsr;
        _context->Owner = GCHandle.ToIntPtr(_handle);
        Jumps = new JumpCache(_context->Mappings, _context->Places, _code == null ? null : _code.Routines.DispatchExit);
        new Span<int>(_context->Heat, ProcessorContext.HeatCount).Fill(_code?.HotThreshold ?? 0);
        _context->JumpArrays = Jumps.Array(8, user: false);
        _context->UserJumps = Jumps.Array(8, user: true);
        ResetState.PowerOn(_context, this);
    }

    /// <inheritdoc/>
    public int Index { get; }

    /// <inheritdoc/>
    public ulong InstructionsRetired => Volatile.Read(ref _context->InstructionsRetired);

    /// <inheritdoc/>
    public ProcessorCounters Counters => default;

    /// <summary>The address spaces of which translations are kept.</summary>
    public SpaceTable Spaces { get; } = new();

    public ProcessorContext* Context => _context;

    public SoftwarePartition Partition => _partition;

    public ProcessorFeatures Features { get; }

    public CpuidTable Cpuid { get; }

    public MsrBank Msrs { get; }

    /// <summary>The local APIC; null in tests without one.</summary>
    public ILocalInterruptController? Controller { get; set; }

    /// <summary>Physical address bits above the width that the processor offers.</summary>
    public ulong ReservedAddressBits { get; }

    /// <summary>The four PAE pointers, loaded with CR3 (Intel SDM volume 3, section 4.4.1).</summary>
    public ulong[] PageDirectoryPointers { get; } = new ulong[4];

    /// <summary>Cached translations of data.</summary>
    public Tlb Tlb { get; }

    /// <summary>Cached look-ups of code.</summary>
    public JumpCache Jumps { get; }

    /// <summary>Running guest code, not at a safe point.</summary>
    public bool InGuest
    {
        get => _inGuest;
        set => _inGuest = value;
    }

    /// <summary>The managed half of a context.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SoftwareProcessor Of(ProcessorContext* c) => Unsafe.As<SoftwareProcessor>(GCHandle.FromIntPtr(c->Owner).Target!);

    /// <summary>The registers for the personality.</summary>
    public GuestCall CreateCall() => new(Index, new Span<ulong>(_context->Registers, 16), _context->Cpl, _context->CodeSize == 8, this, this);

    /// <inheritdoc/>
    public bool TryTranslate(ulong linear, bool write, out ulong physical)
    {
        PageTranslation translation = default;
        bool known = MemoryUnit.IsCanonical(linear)
            && PageWalker.Walk(_context, this, linear, write ? PageAccess.Write : PageAccess.Read, user: false, smapOff: true, out translation, out _);
        physical = translation.Physical;
        return known;
    }

    /// <summary>Host address of a guest-physical byte of RAM, or null. Good to the end of its page.</summary>
    public byte* HostAddress(ulong physical)
    {
        ulong page = physical & PageMask;
        return Controller is { } apic && apic.PageAddress == page
            ? null
            : (byte*)_memory.GetHostAddress(page, 0x1000) is var host && host != null ? host + (physical & 0xfff) : null;
    }

    /// <summary>Whether blocks were made from the page.</summary>
    public bool IsCodePage(ulong physical)
    {
        byte* attributes = _memory.GetPageAttributes(physical);
        return attributes != null && (Volatile.Read(ref *attributes) & (byte)PageAttributes.Code) != 0;
    }

    /// <summary>Marks the page dirty; answers whether it may be written from now on without telling.</summary>
    public bool BeginWrites(ulong physical)
    {
        byte* attributes = _memory.GetPageAttributes(physical);
        if ((*attributes & (byte)PageAttributes.Dirty) == 0)
        {
            _memory.AddPageAttributes(physical, PageAttributes.Dirty);
        }

        return (Volatile.Read(ref *attributes) & (byte)PageAttributes.Code) == 0;
    }

    /// <summary>After a slow write to RAM.</summary>
    public void Written(ulong physical, int size)
    {
        byte* attributes = _memory.GetPageAttributes(physical);
        if ((*attributes & (byte)PageAttributes.Dirty) == 0)
        {
            _memory.AddPageAttributes(physical, PageAttributes.Dirty);
        }

        // The store must be visible before the look at the attribute: WatchCodePage does the opposite.
        Interlocked.MemoryBarrier();
        if ((Volatile.Read(ref *attributes) & (byte)PageAttributes.Code) != 0)
        {
            _blocks.InvalidateCode(physical, (ulong)size);
        }
    }

    /// <summary>Reads or writes device registers, in pieces of a natural width. What nothing answers reads as ones.</summary>
    public void AccessDevice(ulong physical, byte* data, int size, bool write)
    {
        if (_lockstep is { OnTrial: true })
        {
            _lockstep.TouchedDevice = true;
            new Span<byte>(data, write ? 0 : size).Fill(0xff);
            return;
        }

        while (size > 0)
        {
            int piece = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
            Span<byte> span = new(data, piece);
            if (Controller is { } apic && physical - apic.PageAddress < 0x1000)
            {
                if (write)
                {
                    apic.WritePage(physical & 0xfff, span);
                }
                else
                {
                    apic.ReadPage(physical & 0xfff, span);
                }
            }
            else if (write)
            {
                _partition.Settings.Mmio.Write(physical, span);
            }
            else
            {
                _partition.Settings.Mmio.Read(physical, span);
            }

            physical += (ulong)piece;
            data += piece;
            size -= piece;
        }
    }

    /// <summary>Reads a page-table entry.</summary>
    public bool ReadPageTable(ulong address, out ulong entry) => _memory.TryRead(address, out entry);

    /// <summary>Reads a 32-bit page-table entry.</summary>
    public bool ReadPageTable32(ulong address, out uint entry) => _memory.TryRead(address, out entry);

    /// <summary>Replaces a page-table entry if it still is what was read.</summary>
    public bool UpdatePageTable(ulong address, ulong old, ulong now)
    {
        ulong* p = (ulong*)_memory.GetHostAddress(address, 8);
        bool done = p != null && Interlocked.CompareExchange(ref *p, now, old) == old;
        if (done)
        {
            _lockstep?.Log.Keep((byte*)p, 8);
            Written(address, 8);
        }

        return done;
    }

    /// <summary>The same for 32 bits.</summary>
    public bool UpdatePageTable32(ulong address, uint old, uint now)
    {
        uint* p = (uint*)_memory.GetHostAddress(address, 4);
        bool done = p != null && Interlocked.CompareExchange(ref *p, now, old) == old;
        if (done)
        {
            _lockstep?.Log.Keep((byte*)p, 4);
            Written(address, 4);
        }

        return done;
    }

    /// <summary>Makes writes to a page take the slow path. The processor is at a safe point.</summary>
    public void DropWriteTags(ulong page)
    {
        Tlb.DropWrites((nint)HostAddress(page));
    }

    /// <summary>Loads the PAE pointers from CR3.</summary>
    /// <returns><c>false</c> if a present one has reserved bits set: #GP.</returns>
    public bool LoadPageDirectoryPointers(ulong cr3)
    {
        Span<ulong> pointers = stackalloc ulong[4];
        for (int n = 0; n < 4; n++)
        {
            if (!_memory.TryRead((cr3 & 0xffff_ffe0) + (ulong)(8 * n), out pointers[n]))
            {
                pointers[n] = 0;
            }

            const ulong reserved = 0xfff0_0000_0000_01e6;
            if ((pointers[n] & 1) != 0 && (pointers[n] & (reserved | ReservedAddressBits)) != 0)
            {
                return false;
            }
        }

        pointers.CopyTo(PageDirectoryPointers);
        return true;
    }

    /// <inheritdoc/>
    public void Save(ProcessorState state)
    {
        // The state has no place for messages that have come since the last instruction.
        TakeResets();
        StateTransfer.Save(this, state);
    }

    /// <inheritdoc/>
    public void SaveCaller(ProcessorState state) => StateTransfer.Save(this, state);

    /// <inheritdoc/>
    public bool TryReadCallerMsr(uint index, out ulong value) => Msrs.TryRead(index, out value);

    /// <inheritdoc/>
    public bool TryWriteCallerMsr(uint index, ulong value) => Msrs.TryWrite(index, value);

    /// <inheritdoc/>
    public bool Restore(ProcessorState state) => StateTransfer.Restore(this, state);

    /// <inheritdoc/>
    public void ForgetWritablePages() => MemoryUnit.FlushTlb(_context);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle.IsAllocated)
        {
            _handle.Free();
            _lockstep?.Dispose();
            Tlb.Dispose();
            Jumps.Dispose();
            _singles.Dispose();
            NativeMemory.AlignedFree(_context);
        }
    }
}

using System.Runtime.InteropServices;
using Lamina.Interop.Memory;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// The translated code of one VM and the routines through which it is entered and left. Filled under a lock; emptied only at a safe point, together
/// with the block cache. A dropped translation stays in memory until then: its entries lead out.
/// </summary>
internal sealed unsafe class CodeCache : IDisposable
{
    /// <summary>Bytes of code that a VM may keep, if nobody says otherwise.</summary>
    public const int DefaultSize = 64 << 20;

    private const int MaximumBlock = 32 << 10;
    private const int RoutineSpace = 16 << 10;
    private const int MaximumMappings = 1 << 18;

    private const byte JumpOpcode = 0xe9;

    // NOP DWORD [RAX + RAX + 0]
    private const ulong NopOfFive = 0x00_0044_1f0f;
    private readonly GuestMemory _memory;
    private readonly ExecutableMemory _code;
    private readonly Lock _lock = new();
    private readonly List<nint> _translations = [];
    private readonly ITranslationObserver? _observer;
    private readonly Dictionary<(ulong Page, ulong Physical), uint> _mappings = [];
    private readonly nuint _routinesEnd;
    private readonly nuint _size;
    private nuint _used;
    private uint _lastMapping;

    public CodeCache(GuestMemory memory, ProcessorFeatures features, int size = DefaultSize, TranslatorOptions? options = null)
    {
        Features = features;
        _memory = memory;
        _observer = options?.Observer;
        RepeatsStrings = options?.Lockstep == null;
        _size = (nuint)size;
        _code = ExecutableMemory.Map(_size);
        HostAssembler asm = new(_code.WritePointer, RoutineSpace);
        Enter = (delegate* unmanaged<ProcessorContext*, byte*, TranslationExit>)EmitEnter(ref asm);
        InterpretExit = EmitExit(ref asm, TranslationExit.Interpret, popsData: true, saves: false, ripFromData: false);
        LinkExit = EmitExit(ref asm, TranslationExit.Link, popsData: true, saves: true, ripFromData: false);
        SavedLinkExit = EmitExit(ref asm, TranslationExit.Link, popsData: true, saves: false, ripFromData: false);
        RipExit = EmitExit(ref asm, TranslationExit.Dispatch, popsData: true, saves: false, ripFromData: true);
        DispatchExit = EmitExit(ref asm, TranslationExit.Dispatch, popsData: false, saves: false, ripFromData: false);
        Misses = new MissRoutines(ref asm, InterpretExit);
        Strings = new StringRoutines(ref asm, InterpretExit);
        ForgetSlots = EmitForgetSlots(ref asm);
        if (asm.Overflowed)
        {
            throw new InvalidOperationException("the routines do not fit in their space");
        }

        _routinesEnd = _used = RoutineSpace;
    }

    /// <summary>What the guest's processors offer.</summary>
    public ProcessorFeatures Features { get; }

    /// <summary>Repeated string instructions are translated. Not in lockstep, because they may leave in the middle: comparison is by whole instructions.</summary>
    public bool RepeatsStrings { get; }

    /// <summary>Some translation uses AVX: a processor that has it switched off must not run vector code.</summary>
    public bool UsesWideVectors { get; private set; }

    /// <summary>Runs code with the registers of the context at the GS base.</summary>
    public delegate* unmanaged<ProcessorContext*, byte*, TranslationExit> Enter { get; }

    /// <summary>Called by code that wants an instruction interpreted; behind the call stand the instruction and its RIP, then the way back.</summary>
    public byte* InterpretExit { get; }

    /// <summary>Called at an unlinked direct jump; behind the call stand the target's RIP, the place of the jump's displacement, and the block.</summary>
    public byte* LinkExit { get; }

    /// <summary>The same where the flags are saved.</summary>
    public byte* SavedLinkExit { get; }

    /// <summary>Called to leave; behind the call stands RIP.</summary>
    public byte* RipExit { get; }

    /// <summary>Jumped to in order to leave, with RIP in the address register.</summary>
    public byte* DispatchExit { get; }

    /// <summary>Called where an address was not found at first.</summary>
    public MissRoutines Misses { get; }

    /// <summary>Called for repeated string instructions.</summary>
    public StringRoutines Strings { get; }

    /// <summary>Called where <see cref="ProcessorContext.Tlb"/> becomes another. Keeps all registers.</summary>
    public byte* ForgetSlots { get; }

    /// <summary>Every <see cref="Translation"/> in memory, dropped ones too.</summary>
    public IReadOnlyList<nint> Translations => _translations;

    /// <summary>Bytes of translated code.</summary>
    public nuint Used => _used;

    /// <summary>Translations made since creation.</summary>
    public long Count { get; private set; }

    /// <summary>Guest bytes translated since creation.</summary>
    public long GuestBytes { get; private set; }

    /// <summary>Host bytes written since creation.</summary>
    public long HostBytes { get; private set; }

    /// <summary>Whether the next block might not fit.</summary>
    public bool IsFull => _used + MaximumBlock > _size;

    /// <summary>Host address of the page that holds a guest-physical address.</summary>
    public byte* PageOf(ulong physical) => (byte*)_memory.GetHostAddress(physical & ~0xfffUL, 0x1000);

    /// <summary>Finds the translation of a block for an address.</summary>
    public static Translation* Find(Block* block, ulong rip)
    {
        Translation* t = (Translation*)Volatile.Read(ref *(nint*)&block->Translations);
        while (t != null && t->Rip != rip)
        {
            t = t->Next;
        }

        return t;
    }

    /// <summary>Translates a valid block; <paramref name="wideVectors"/>: AVX is switched on. Null if there is no room, or it was dropped meanwhile.</summary>
    public Translation* Translate(Block* block, ulong rip, bool wideVectors)
    {
        lock (_lock)
        {
            Translation* t = Find(block, rip);
            if (t != null || IsFull || !block->Valid)
            {
                return t;
            }

            t = (Translation*)NativeMemory.AllocZeroed((nuint)sizeof(Translation));
            int length = BlockTranslator.Translate(this, block, rip, wideVectors, _code.WritePointer + _used, MaximumBlock, t);
            if (length == 0 || !block->Valid)
            {
                NativeMemory.Free(t);
                return null;
            }

            UsesWideVectors |= wideVectors && t->UsesVectors;
            t->End = _code.WritePointer + _used + length;
            _used = (_used + (nuint)length + 15) & ~(nuint)15;
            _translations.Add((nint)t);
            Count++;
            GuestBytes += block->ByteLength;
            HostBytes += length;
            t->Next = block->Translations;
            block->Translations = t;
            _observer?.Translated(new TranslatedBlock
            {
                Rip = rip,
                Physical = block->Physical,
                GuestCode = new ReadOnlySpan<byte>(PageOf(block->Physical) + (block->Physical & 0xfff), block->ByteLength),
                HostAddress = (nint)t->NativeEntry,
                HostCode = new ReadOnlySpan<byte>(t->NativeEntry, (int)(t->End - t->NativeEntry)),
            });
            return t;
        }
    }

    /// <summary>Makes a direct jump go to a translation, if both ends are still valid; <paramref name="native"/>: with the flags in the host's.</summary>
    public void Link(Block* from, byte* displacement, Block* to, Translation* target, bool native)
    {
        lock (_lock)
        {
            if (from->Valid && from->Translations != null && to->Valid && Find(to, target->Rip) == target)
            {
                Volatile.Write(ref *(int*)displacement, (int)((native ? target->NativeEntry : target->Entry) - (displacement + 4)));
            }
        }
    }

    /// <summary>Makes a direct jump to another page go to a translation while that page is mapped as it is now.</summary>
    public void LinkGuarded(Block* from, byte* displacement, Block* to, Translation* target, uint mapping)
    {
        lock (_lock)
        {
            // Once linked it stays: number and target could not change together.
            if (mapping != 0 && *(displacement - 1) == JumpOpcode && from->Valid && from->Translations != null && to->Valid && Find(to, target->Rip) == target)
            {
                // JMP rel32 (the place), CMP DWORD GS:[...], imm32, JNE rel32, JMP rel32.
                const int number = 4 + 8;
                const int jump = number + 4 + 6 + 1;
                Volatile.Write(ref *(int*)(displacement + number), (int)mapping);
                Volatile.Write(ref *(int*)(displacement + jump), (int)(target->Entry - (displacement + jump + 4)));
                PatchInstruction(displacement - 1, NopOfFive);
            }
        }
    }

    /// <summary>The number of a mapping of a page of code: equal numbers mean equal pages and privileges. 0 if there are no more.</summary>
    public uint MappingNumber(ulong page, bool user, ulong physical)
    {
        lock (_lock)
        {
            (ulong, ulong) key = (page | (user ? 1UL : 0), physical);
            if (!_mappings.TryGetValue(key, out uint number))
            {
                if (_lastMapping == uint.MaxValue - 1)
                {
                    return 0;
                }

                if (_mappings.Count == MaximumMappings)
                {
                    _mappings.Clear();
                }

                number = ++_lastMapping;
                _mappings.Add(key, number);
            }

            return number;
        }
    }

    /// <summary>Drops the translations of a block: whoever enters them is led out. Processors inside go on to their next exit.</summary>
    public void Drop(Block* block)
    {
        lock (_lock)
        {
            for (Translation* t = block->Translations; t != null; t = t->Next)
            {
                PatchJump(t->NativeEntry, t->NativeEntry == t->Entry ? t->Exit : t->NativeExit);
                if (t->NativeEntry != t->Entry)
                {
                    PatchJump(t->Entry, t->Exit);
                }
            }

            block->Translations = null;
        }
    }

    /// <summary>Empties the cache. Only at a safe point.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach (nint t in _translations)
            {
                NativeMemory.Free((void*)t);
            }

            _translations.Clear();
            UsesWideVectors = false;
            _used = _routinesEnd;
        }
    }

    public void Dispose()
    {
        Clear();
        _code.Dispose();
    }

    private static void PatchJump(byte* entry, byte* target)
    {
        ulong displacement = (uint)(int)(target - (entry + 5));
        PatchInstruction(entry, JumpOpcode | (displacement << 8));
    }

    // Five bytes by one aligned store, so that a processor sees the old or the new instruction.
    private static void PatchInstruction(byte* place, ulong bytes)
    {
        ulong behind = *(ulong*)place & 0xffff_ff00_0000_0000;
        Volatile.Write(ref *(ulong*)place, behind | bytes);
    }

    private static byte* EmitEnter(ref HostAssembler asm)
    {
        byte* start = asm.Here;
        foreach (int register in (ReadOnlySpan<int>)[Host.Rbx, Host.Rbp, 12, 13, 14, 15])
        {
            Push(ref asm, 0x50, register);
        }

        // SUB RSP, 8
        asm.RegisterForm(0x83, 5, Host.Rsp, true);
        asm.Byte(8);
        asm.Move(Host.Address, Host.Rsi);
        for (int guest = 0; guest < 16; guest++)
        {
            if (Host.Of(guest) >= 0)
            {
                asm.LoadContext(Host.Of(guest), ContextLayout.Register(guest));
            }
        }

        EmitX87(ref asm, load: true);
        EmitVectors(ref asm, load: true);
        asm.RegisterForm(0xff, 4, Host.Address, false);
        return start;
    }

    private static byte* EmitForgetSlots(ref HostAssembler asm)
    {
        asm.Align(16);
        byte* start = asm.Here;
        for (int slot = 0; slot < ProcessorContext.SlotCount; slot++)
        {
            asm.ContextForm(0xc7, 0, ContextLayout.Slot(slot), true); // MOV QWORD
            asm.Dword(-1);
        }

        asm.Byte(0xc3);
        return start;
    }

    private static byte* EmitExit(ref HostAssembler asm, TranslationExit reason, bool popsData, bool saves, bool ripFromData)
    {
        asm.Align(16);
        byte* start = asm.Here;
        if (popsData)
        {
            Push(ref asm, 0x58, Host.Address);
            if (ripFromData)
            {
                asm.MemoryForm(0x8b, Host.Address, Host.Address, 0, true);
            }
            else
            {
                asm.StoreContext(Host.Address, ContextLayout.ExitData);
            }
        }

        if (reason == TranslationExit.Dispatch)
        {
            asm.StoreContext(Host.Address, ContextLayout.Rip);
        }

        for (int guest = 0; guest < 16; guest++)
        {
            if (Host.Of(guest) >= 0)
            {
                asm.StoreContext(Host.Of(guest), ContextLayout.Register(guest));
            }
        }

        if (saves)
        {
            asm.Byte(0x9f);
            asm.Opcode(0x0f90);
            asm.Byte(0xc0);
            asm.Byte(0x66);
            asm.ContextForm(0x89, Host.Rax, ContextLayout.SavedFlags, false);
        }

        EmitVectors(ref asm, load: false);
        EmitX87(ref asm, load: false);
        asm.MoveImmediate(Host.Rax, (long)reason);
        asm.RegisterForm(0x83, 0, Host.Rsp, true);
        asm.Byte(8);
        foreach (int register in (ReadOnlySpan<int>)[15, 14, 13, 12, Host.Rbp, Host.Rbx])
        {
            Push(ref asm, 0x58, register);
        }

        asm.Byte(0xfc); // CLD
        asm.Byte(0xc3);
        return start;
    }

    // Moves the x87 registers, unless they are off. FXRSTOR loads vector registers too, and FXSAVE needs MXCSR to be the host's. No host address stays in the image.
    private static void EmitX87(ref HostAssembler asm, bool load)
    {
        asm.ContextForm(0x83, 7, ContextLayout.X87Off, false); // CMP DWORD
        asm.Byte(0);
        int skip = asm.JumpIf(5);
        asm.ContextForm(0x0fae, load ? 1 : 0, 0, true); // FXRSTOR64, FXSAVE64
        if (!load)
        {
            asm.Byte(0xdb); // FNINIT
            asm.Byte(0xe3);
            asm.Byte(0x66); // MOV WORD: FOP
            asm.ContextForm(0xc7, 0, X87Image.LastOpcode, false);
            asm.Byte(0);
            asm.Byte(0);
            foreach (int pointer in (ReadOnlySpan<int>)[X87Image.InstructionPointer, X87Image.DataPointer])
            {
                asm.ContextForm(0xc7, 0, pointer, true); // MOV QWORD
                asm.Dword(0);
            }
        }

        asm.Bind(skip);
    }

    // Moves the vector registers and MXCSR between context and host, unless they are off.
    private static void EmitVectors(ref HostAssembler asm, bool load)
    {
        asm.ContextForm(0x83, 7, ContextLayout.VectorsOff, false); // CMP DWORD
        asm.Byte(0);
        int skip = asm.JumpIf(5);
        bool wide = (HostFeatures.All & ProcessorFeatures.Avx) != 0;
        for (int register = 0; register < 16; register++)
        {
            int offset = ContextLayout.Vectors + (32 * register);
            if (wide)
            {
                asm.ContextVector(load ? 0x128 : 0x129, register, offset);
            }
            else
            {
                asm.ContextForm(load ? 0x0f28 : 0x0f29, register, offset, false); // MOVAPS
            }
        }

        if (!load)
        {
            asm.ContextForm(0x0fae, 3, ContextLayout.Mxcsr, false); // STMXCSR
        }

        asm.ContextForm(0x0fae, 2, load ? ContextLayout.Mxcsr : ContextLayout.HostMxcsr, false); // LDMXCSR
        asm.Bind(skip);
    }

    private static void Push(ref HostAssembler asm, int opcode, int register)
    {
        if (register >= 8)
        {
            asm.Byte(0x41);
        }

        asm.Byte(opcode | (register & 7));
    }
}

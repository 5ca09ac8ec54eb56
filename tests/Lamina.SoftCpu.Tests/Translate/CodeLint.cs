using Iced.Intel;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// Proves of translated code that it reaches the guest's RAM and its own context, and nothing else. Every memory operand is a field of the context at the GS base, a
/// field of a look-up entry whose index was bounded, or lies behind a pointer that a look into the TLB has bounded since it was last written, or one that was kept from such a look of the
/// same translation.
/// </summary>
internal sealed unsafe class CodeLint
{
    private static readonly HashSet<Mnemonic> Allowed =
    [
        Mnemonic.Add, Mnemonic.Or, Mnemonic.Adc, Mnemonic.Sbb, Mnemonic.And, Mnemonic.Sub, Mnemonic.Xor, Mnemonic.Cmp, Mnemonic.Test, Mnemonic.Inc, Mnemonic.Dec,
        Mnemonic.Neg, Mnemonic.Not, Mnemonic.Mul, Mnemonic.Imul, Mnemonic.Div, Mnemonic.Rol, Mnemonic.Ror, Mnemonic.Rcl, Mnemonic.Rcr, Mnemonic.Shl, Mnemonic.Sal,
        Mnemonic.Shr, Mnemonic.Sar, Mnemonic.Shld, Mnemonic.Shrd, Mnemonic.Lfence, Mnemonic.Mfence, Mnemonic.Sfence, Mnemonic.Mov, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Movsxd, Mnemonic.Lea, Mnemonic.Xchg, Mnemonic.Cmpxchg, Mnemonic.Xadd,
        Mnemonic.Bsf, Mnemonic.Bsr, Mnemonic.Cmpxchg8b, Mnemonic.Cmpxchg16b, Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr, Mnemonic.Btc, Mnemonic.Bswap, Mnemonic.Cbw, Mnemonic.Cwde, Mnemonic.Cdqe, Mnemonic.Cwd, Mnemonic.Cdq, Mnemonic.Cqo,
        Mnemonic.Lahf, Mnemonic.Sahf, Mnemonic.Nop, Mnemonic.Clc, Mnemonic.Stc, Mnemonic.Cmc, Mnemonic.Jmp, Mnemonic.Call,
    ];

    private readonly CodeCache _cache;
    private readonly CodeRoutines _routines;
    private readonly HashSet<nint> _entries = [];
    private readonly InstructionInfoFactory _info = new();
    private readonly List<Instruction> _code = [];
    private readonly HashSet<ulong> _starts = [];
    private readonly HashSet<ulong> _targets = [];

    // Where a miss routine returns to, by the address of the call to it; and from where it was jumped to.
    private readonly Dictionary<ulong, ulong> _backs = [];
    private readonly Dictionary<ulong, ulong> _misses = [];
    private readonly HashSet<(ulong Jump, ulong Call)> _looks = [];
    private Entry _temporary;
    private Tag _value;
    private int _bytes;
    private int _compared;
    private bool _checked;
    private bool _compareWrites;
    private int _compareSlot;
    private bool _comparesBegin;
    private bool _beginChecked;
    private ulong _miss;
    private int _reachable;
    private bool _writable;
    private bool _boundedBit;
    private int _pointer;

    // Bytes that may be accessed behind the pointer of each window, and whether they may be written.
    private readonly (int Bytes, bool Writes)[] _windows = new (int, bool)[AccessWindow.Maximum];
    private readonly HashSet<nint> _plainStarts = [];

    public CodeLint(CodeCache cache)
    {
        _cache = cache;
        _routines = cache.Routines;
        foreach (nint t in cache.Translations)
        {
            _entries.Add((nint)((Translation*)t)->NativeEntry);
            _entries.Add((nint)((Translation*)t)->Entry);
            for (TranslationGuard* guard = ((Translation*)t)->Guards; guard != null; guard = guard->Next)
            {
                _entries.Add((nint)guard->Entry);
            }
        }
    }

    // What R11 holds.
    private enum Entry
    {
        Unknown,
        TlbOffset,
        TlbEntry,
        JumpIndex,
        JumpOffset,
        JumpEntry,
    }

    // What R14 holds: nothing known, the address of the last byte, or its page.
    private enum Tag
    {
        Unknown,
        LastByte,
        Page,
    }

    /// <summary>Instructions seen.</summary>
    public long Instructions { get; private set; }

    /// <summary>Guards seen.</summary>
    public long Guards { get; private set; }

    /// <summary>Guest accesses seen.</summary>
    public long Accesses { get; private set; }

    public void Check()
    {
        foreach (nint t in _cache.Translations)
        {
            Check((Translation*)t);
        }
    }

    // What stands between jumps and translations: a comparison with a number, the page that it may say, and jumps to the translation or the look-up.
    private void Check(Translation* t, TranslationGuard* guard)
    {
        Guards++;
        Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(64, new ByteArrayCodeReader(new Span<byte>(guard->Entry, 64).ToArray()));
        decoder.IP = (ulong)guard->Entry;
        for (int jumps = guard->Kind is GuardKind.Mapping or GuardKind.Place ? 2 : 1; jumps > 0;)
        {
            decoder.Decode(out Instruction i);
            byte* target = (byte*)i.NearBranchTarget;
            bool page = i.MemorySegment == Register.GS && i.MemoryBase == Register.None && i.MemoryDisplacement64 == (ulong)ContextLayout.Register(ProcessorContext.CodePageRegister);
            bool fits = i.Mnemonic switch
            {
                Mnemonic.Cmp => i.MemorySegment == Register.GS && i.MemoryBase == Register.None && i.MemoryDisplacement64 < (ulong)sizeof(ProcessorContext) - 8,
                Mnemonic.Mov => i.Op0Register.GetFullRegister() == Register.R10 || (page && i.Op1Register == Register.R10),
                Mnemonic.Lea => i.Op0Register is Register.R10 or Register.R11,
                Mnemonic.Jne => target < guard->Entry + 64 && target > guard->Entry,
                Mnemonic.Jmp => target == t->Entry || target == t->NativeEntry || target == _routines.LookUpGuarded,
                _ => false,
            };
            Assert.True(fits, $"{i} in a guard of kind {guard->Kind}");
            jumps -= i.Mnemonic == Mnemonic.Jmp ? 1 : 0;
        }
    }

    private void Check(Translation* t)
    {
        for (TranslationGuard* guard = t->Guards; guard != null; guard = guard->Next)
        {
            Check(t, guard);
        }

        Read(t);
        _plainStarts.Clear();
        for (int part = 0; t->Plain != null && part < t->PartCount; part++)
        {
            for (int n = 0; n <= t->Parts[part].Block->Count; n++)
            {
                _plainStarts.Add((nint)t->Parts[part].Plain->StartOf(n));
            }
        }

        _looks.Clear();
        Forget();
        for (int n = 0; n < _code.Count; n++)
        {
            Instruction i = _code[n];
            if (_targets.Contains(i.IP))
            {
                // What returns from the routine for this very look is as good as what goes on from the look.
                if (_backs.ContainsValue(i.IP) && _reachable > 0 && _backs.TryGetValue(_miss, out ulong back) && back == i.IP)
                {
                    _miss = 0;
                }
                else
                {
                    Forget();
                }
            }

            Instructions++;
            string? wrong = Wrong(i, n, t);
            if (wrong != null)
            {
                Assert.Fail($"{wrong} at {i.IP - (ulong)t->NativeEntry:x}: {i}\n{string.Join('\n', _code.Select(c => $"{c.IP:x} {c}"))}");
            }
        }
    }

    // Decodes code, steps over the data behind calls, and finds where jumps go.
    private void Read(Translation* t)
    {
        _code.Clear();
        _starts.Clear();
        _targets.Clear();
        _backs.Clear();
        _misses.Clear();
        for (int n = 0; t->IsCompact && n <= t->Block->Count; n++)
        {
            // Others jump there.
            _targets.Add((ulong)t->StartOf(n));
        }

        byte* at = t->NativeEntry;
        while (at < t->End)
        {
            int left = (int)Math.Min(64, t->End - at);
            Iced.Intel.Decoder decoder = Iced.Intel.Decoder.Create(64, new ByteArrayCodeReader(new Span<byte>(at, left).ToArray()));
            decoder.IP = (ulong)at;
            decoder.Decode(out Instruction i);
            Assert.False(i.IsInvalid);
            _code.Add(i);
            _starts.Add(i.IP);
            if (at == t->NativeEntry || at == t->Entry)
            {
                Assert.True(i.Length >= 5, "a dropped entry would overlap two instructions");
            }

            // The entry of a dropped or replaced translation leads elsewhere, over the beginning of the longer instruction that stood there.
            bool entry = at == t->Entry || at == t->NativeEntry;
            bool replaced = at == t->Entry && (i.Mnemonic == Mnemonic.Jmp || (i.Mnemonic == Mnemonic.Call && (byte*)i.NearBranchTarget == _routines.StartExit));
            at += !replaced ? i.Length : t->IsCompact ? 8 : t->UsesVectors ? 10 : 9;
            if (i.Mnemonic == Mnemonic.Call)
            {
                byte* target = (byte*)i.NearBranchTarget;
                if (_routines.Misses.TryFind(target, out _, out _, out bool window))
                {
                    // Back to behind the look, if the page was found.
                    Assert.True(window ? *(ushort*)at == 0x840f : *at == 0xe9, "what was looked for is not gone back to");
                    ulong back = window ? (ulong)(at + 6 + *(int*)(at + 2)) : (ulong)(at + 5 + *(int*)(at + 1));
                    _backs.Add(i.IP, back);
                    _targets.Add(back);
                }
                else if (target > t->NativeEntry && target < t->End)
                {
                    // Where it returns to, and where it goes.
                    _targets.Add((ulong)at);
                    _targets.Add((ulong)target);
                }
                else
                {
                    int data = _routines.CallData.GetValueOrDefault((nint)target);
                    at += data;
                    if (data > 0)
                    {
                        _targets.Add((ulong)at);
                    }
                }
            }
            else if (i.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch)
            {
                _targets.Add(i.NearBranchTarget);
                if (i.Mnemonic != Mnemonic.Jl && !_misses.TryAdd(i.NearBranchTarget, i.IP))
                {
                    _misses[i.NearBranchTarget] = 0;
                }

                if (!entry && i.Mnemonic == Mnemonic.Jmp && _entries.Contains((nint)i.NearBranchTarget))
                {
                    // It was a call of a link exit, and its data are still there.
                    at += _routines.CallData[CodeCache.KindOf(at) == LinkKind.Guarded ? (nint)_routines.GuardedLinkExit : (nint)_routines.LinkExit];
                    _targets.Add((ulong)at);
                }

                if (i.Mnemonic == Mnemonic.Jmp && i.Length == 5)
                {
                    // Patched while others execute it.
                    bool inside = i.NearBranchTarget >= (ulong)t->NativeEntry && i.NearBranchTarget < (ulong)t->End;
                    Assert.True(inside || _entries.Contains((nint)i.NearBranchTarget) is false || (i.IP & 7) <= 3);
                }
            }
        }
    }

    private void Forget()
    {
        ForgetRegisters();
        Array.Clear(_windows);
    }

    private void ForgetRegisters()
    {
        _temporary = Entry.Unknown;
        _value = Tag.Unknown;
        _reachable = 0;
        _compared = 0;
        _checked = false;
        _boundedBit = false;
        _pointer = 0;
    }

    private string? Wrong(in Instruction i, int index, Translation* t)
    {
        if (IsPairing(index, t))
        {
            Track(i, _info.GetInfo(i));
            return null;
        }

        if (!Allowed.Contains(i.Mnemonic) && i.ConditionCode == ConditionCode.None && !IsFlagTransfer(i) && !IsVector(i, t) && !IsX87(i, t))
        {
            return "not allowed";
        }

        if (i.FlowControl != FlowControl.Next && WrongBranch(i, t) is { } branch)
        {
            return branch;
        }

        InstructionInfo info = _info.GetInfo(i);
        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            if (used.Register.GetFullRegister() == Register.RSP && i.Mnemonic != Mnemonic.Call && !IsFlagTransfer(i))
            {
                return "uses RSP";
            }
        }

        bool memory = i.Mnemonic is not Mnemonic.Lea and not Mnemonic.Nop && !IsFlagTransfer(i) && i.Mnemonic != Mnemonic.Call;
        if (memory)
        {
            foreach (UsedMemory used in info.GetUsedMemory())
            {
                if (WrongMemory(i, used) is { } wrong)
                {
                    return wrong;
                }
            }
        }

        Track(i, info);
        return null;
    }

    // Pairs of calls and returns, which are pushed and taken by these sequences and nothing else, so that the host's stack never goes beyond its bounds and every return address on it is
    // that of a call.
    private bool IsPairing(int index, Translation* t)
    {
        Instruction At(int distance) => index + distance >= 0 && index + distance < _code.Count ? _code[index + distance] : default;
        bool Inside(int distance) => !_targets.Contains(At(distance).IP);
        bool Compares(int distance, int field) => At(distance) is { Code: Code.Cmp_r64_rm64, Op0Register: Register.RSP, MemorySegment: Register.GS } c && (int)c.MemoryDisplacement64 == field;
        bool Matches(int distance) => At(distance) is { Code: Code.Cmp_r64_rm64, Op0Register: Register.R10, MemoryBase: Register.RSP, MemoryIndex: Register.None, MemoryDisplacement64: 8 };
        bool Drops(int distance, int bytes) => At(distance) is { Mnemonic: Mnemonic.Lea, Op0Register: Register.RSP, MemoryBase: Register.RSP, MemoryIndex: Register.None } l && (int)l.MemoryDisplacement64 == bytes;
        bool Resets(int distance) => At(distance) is { Code: Code.Mov_r64_rm64, Op0Register: Register.RSP, MemorySegment: Register.GS, MemoryBase: Register.None } m && (int)m.MemoryDisplacement64 == ContextLayout.ReturnStack;
        Instruction i = At(0);
        if (i.Mnemonic == Mnemonic.Cmp)
        {
            return Compares(0, ContextLayout.ReturnLimit) || Compares(0, ContextLayout.ReturnStack) || Matches(0);
        }

        if (i.Mnemonic == Mnemonic.Push)
        {
            return i.Op0Register == Register.R14 && Compares(-3, ContextLayout.ReturnLimit) && At(-2) is { Mnemonic: Mnemonic.Ja } room && room.NearBranchTarget == i.IP && Inside(-2) && Inside(-1)
                && (byte*)At(-1).NearBranchTarget == _routines.ForgetReturns && IsCallInside(At(1), t) && Drops(2, 8);
        }

        if (i.Mnemonic == Mnemonic.Call)
        {
            return IsCallInside(i, t) && At(-1).Mnemonic == Mnemonic.Push && Inside(0) && Drops(1, 8);
        }

        if (i.Mnemonic == Mnemonic.Ret)
        {
            return Matches(-3) && At(-2).Mnemonic == Mnemonic.Jne && At(-1) is { Mnemonic: Mnemonic.Lea, Op0Register: Register.R15 } && Inside(-2) && Inside(-1) && Inside(0);
        }

        bool dropsPair = Drops(0, 16) && Compares(1, ContextLayout.ReturnStack) && At(2) is { Mnemonic: Mnemonic.Jbe } left && left.NearBranchTarget == At(4).IP && Resets(3) && Inside(1) && Inside(2) && Inside(3);
        bool takes = Drops(0, 8) && IsCallInside(At(-1), t);
        return dropsPair || takes || (Resets(0) && Drops(-3, 16));
    }

    private static bool IsCallInside(in Instruction i, Translation* t) =>
        i.Mnemonic == Mnemonic.Call && (byte*)i.NearBranchTarget > t->NativeEntry && (byte*)i.NearBranchTarget < t->End;

    // Vector instructions where the entry has provided for them, and those on general registers that came with them.
    private static bool IsVector(in Instruction i, Translation* t)
    {
        bool general = i.Mnemonic is Mnemonic.Popcnt or Mnemonic.Lzcnt or Mnemonic.Tzcnt or Mnemonic.Movbe or Mnemonic.Crc32 or Mnemonic.Adcx or Mnemonic.Adox
            or Mnemonic.Andn or Mnemonic.Blsr or Mnemonic.Blsmsk or Mnemonic.Blsi or Mnemonic.Bzhi or Mnemonic.Pext or Mnemonic.Pdep or Mnemonic.Mulx
            or Mnemonic.Bextr or Mnemonic.Shlx or Mnemonic.Sarx or Mnemonic.Shrx or Mnemonic.Rorx;
        if (general || !t->UsesVectors)
        {
            return general;
        }

        foreach (CpuidFeature feature in i.CpuidFeatures)
        {
            if (feature is CpuidFeature.SSE or CpuidFeature.SSE2 or CpuidFeature.SSE3 or CpuidFeature.SSSE3 or CpuidFeature.SSE4_1 or CpuidFeature.SSE4_2
                or CpuidFeature.AVX or CpuidFeature.AVX2 or CpuidFeature.FMA or CpuidFeature.F16C or CpuidFeature.AES or CpuidFeature.PCLMULQDQ or CpuidFeature.SHA)
            {
                return i.Mnemonic is not (Mnemonic.Ldmxcsr or Mnemonic.Stmxcsr or Mnemonic.Vldmxcsr or Mnemonic.Vstmxcsr);
            }
        }

        return false;
    }

    private static bool IsX87(in Instruction i, Translation* t)
    {
        if (!t->UsesX87 || i.Mnemonic is Mnemonic.Fldenv or Mnemonic.Fnstenv or Mnemonic.Fnsave or Mnemonic.Frstor or Mnemonic.Fninit or Mnemonic.Fnclex)
        {
            return false;
        }

        foreach (CpuidFeature feature in i.CpuidFeatures)
        {
            if (feature is CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387)
            {
                return true;
            }
        }

        return i.Mnemonic == Mnemonic.Fisttp;
    }

    private static bool IsFlagTransfer(in Instruction i) =>
        i.Code is Code.Pushfq || (i.Code == Code.Pop_r64 && i.Op0Register == Register.R11);

    private string? WrongBranch(in Instruction i, Translation* t)
    {
        if (i.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch)
        {
            byte* target = (byte*)i.NearBranchTarget;
            bool known = _starts.Contains(i.NearBranchTarget) || (i.Mnemonic == Mnemonic.Jmp && _plainStarts.Contains((nint)target)) || _entries.Contains((nint)target) || target == _routines.LookUpJump || target == _routines.DispatchExit || target == t->End;
            return known ? null : "jumps to an unknown place";
        }

        if (i.FlowControl == FlowControl.Call)
        {
            byte* target = (byte*)i.NearBranchTarget;
            if (_routines.Misses.TryFind(target, out _, out _, out _))
            {
                // Only from a look into the TLB that has prepared for it, which Track has seen.
                return _looks.Contains((_misses.GetValueOrDefault(i.IP), i.IP)) ? null : "looks for a page that nobody has named";
            }

            bool exit = target == _routines.InterpretExit || target == _routines.LinkExit || target == _routines.SavedLinkExit || target == _routines.GuardedLinkExit || target == _routines.SiteExit
                || target == _routines.StartExit || target == _routines.NativeStartExit;
            return exit || _routines.IsHarmless(target) || target == _routines.FindJump || target == _routines.ReadTimeStamp || _routines.Strings.Contains(target) || _routines.Checks.TryFind(target, out _, out _)
                ? null : "calls an unknown place";
        }

        bool entry = i.MemoryBase == Register.R11 && i.MemoryDisplacement64 == ContextLayout.JumpCode && _temporary == Entry.JumpEntry;
        bool found = i.MemorySegment == Register.GS && (int)i.MemoryDisplacement64 == ContextLayout.BranchTarget;
        return i.FlowControl == FlowControl.IndirectBranch && (entry || found) ? null : "goes anywhere";
    }

    private string? WrongMemory(in Instruction i, UsedMemory used)
    {
        int size = i.MemorySize.GetSize();
        long displacement = (long)used.Displacement;
        if (used.Index != Register.None)
        {
            return "has an index";
        }

        if (i.Mnemonic == Mnemonic.Fldcw && used.Segment != Register.GS)
        {
            return "loads a control word that the guest can still change";
        }

        if (used.Segment == Register.GS && used.Access is not OpAccess.Read and not OpAccess.CondRead && IsPointer((int)displacement, size))
        {
            if (FindWindow((int)displacement) >= 0)
            {
                return i.Mnemonic == Mnemonic.Mov && i.Op1Register == Register.R10 && _reachable > 0 ? null : "keeps what it has not looked up";
            }

            // The tables in use may only become others of their kind.
            bool table = i.Mnemonic == Mnemonic.Mov && i.Op1Register == Register.R14
                && ((displacement == ContextLayout.Tlb && (_pointer == ContextLayout.TlbArrays || _pointer == ContextLayout.UserTlb))
                    || (displacement == ContextLayout.Jumps && (_pointer == ContextLayout.JumpArrays || _pointer == ContextLayout.UserJumps)));
            return table ? null : "changes a pointer";
        }

        if (used.Segment == Register.GS)
        {
            return used.Base == Register.None && displacement >= 0 && displacement + size <= sizeof(ProcessorContext) ? null : "leaves the context";
        }

        bool writes = used.Access is not OpAccess.Read and not OpAccess.CondRead;
        if (i.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc && i.Op1Kind == OpKind.Register && !_boundedBit)
        {
            return "reaches other words by a bit number";
        }

        if (used.Base == Register.R11)
        {
            bool tlb = _temporary == Entry.TlbEntry && displacement >= 0 && displacement + size <= (TlbEntry.Count * 16) + 16;
            bool jump = _temporary == Entry.JumpEntry && displacement >= 0 && displacement + size <= sizeof(JumpEntry);
            return (tlb || jump) && !writes ? null : "not a look-up";
        }

        Accesses++;
        return used.Base == Register.R10 && displacement >= 0 && displacement + size <= _reachable && (!writes || _writable) ? null : "not bounded";
    }

    private static bool IsPointer(int displacement, int size)
    {
        foreach (int pointer in (int[])[ContextLayout.Tlb, ContextLayout.TlbArrays, ContextLayout.UserTlb, ContextLayout.Jumps, ContextLayout.JumpArrays, ContextLayout.UserJumps, ContextLayout.Mappings, ContextLayout.HostStack, ContextLayout.ReturnStack, ContextLayout.ReturnLimit, .. Enumerable.Range(0, 2 * ProcessorContext.SlotCount).Select(n => ContextLayout.Slots + (8 * n)), .. Enumerable.Range(0, AccessWindow.Maximum).Select(ContextLayout.Window)])
        {
            if (displacement < pointer + 8 && displacement + size > pointer)
            {
                return true;
            }
        }

        return false;
    }

    private static int FindWindow(int field)
    {
        int window = (field - ContextLayout.Windows) / 8;
        return window is >= 0 and < AccessWindow.Maximum && field == ContextLayout.Window(window) ? window : -1;
    }

    private static int FindSlot(int field)
    {
        for (int slot = 0; slot < ProcessorContext.SlotCount; slot++)
        {
            if (field == ContextLayout.Slot(slot))
            {
                return slot;
            }
        }

        return -1;
    }

    // Whether the jump behind a comparison leads to a routine for writes.
    private bool MissesForWrite(in Instruction compare)
    {
        ulong next = compare.NextIP;
        ulong target = _code.Find(c => c.IP == next).NearBranchTarget;
        Instruction cold = _code.Find(c => c.IP == target);
        return cold.Mnemonic == Mnemonic.Call && _routines.Misses.TryFind((byte*)cold.NearBranchTarget, out _, out bool write, out _) && write;
    }

    // What the scratch registers hold after an instruction.
    private void Track(in Instruction i, InstructionInfo info)
    {
        Entry temporary = Entry.Unknown;
        Tag value = Tag.Unknown;
        int reachable = 0;
        bool gs = i.MemorySegment == Register.GS;
        int field = (int)i.MemoryDisplacement64;
        if (i.Mnemonic == Mnemonic.Call)
        {
            // What a routine answers, and nothing else.
            byte* routine = (byte*)i.NearBranchTarget;
            if (routine == _routines.ForgetReturns)
            {
                _temporary = Entry.Unknown;
                return;
            }

            if (_routines.IsHarmless(routine))
            {
                _reachable = routine == _routines.SaveFlags ? 0 : _reachable;
                _value = routine == _routines.SaveFlags ? Tag.Unknown : _value;
                _temporary = routine == _routines.RestoreFlags ? Entry.Unknown : _temporary;
                _checked = false;
                _compared = 0;
                return;
            }

            ForgetRegisters();
            if (_routines.Checks.TryFind(routine, out int bytes, out bool writes))
            {
                _reachable = bytes;
                _writable = writes;
            }

            _temporary = routine == _routines.FindJump ? Entry.JumpEntry : Entry.Unknown;
            return;
        }

        bool fromEntry = i.MemoryBase == Register.R11 && _temporary == Entry.TlbEntry;
        int tag = field;
        if (i.Mnemonic == Mnemonic.Cmp && i.Op0Register == Register.R14 && fromEntry && _value == Tag.Page && (tag is 0 || tag == ContextLayout.WriteTag))
        {
            _compared = _bytes;
            _compareWrites = tag == ContextLayout.WriteTag;
            _compareSlot = MissRoutines.NoSlot;
            return;
        }

        if (i.Mnemonic == Mnemonic.Cmp && i.Op0Register == Register.R14 && gs && _value == Tag.Page && FindSlot(field) is var looked and >= 0)
        {
            // The slot of the stack serves both; which is meant, the miss routine tells.
            _compared = _bytes;
            _compareSlot = looked;
            _beginChecked = _bytes == 1;
            _compareWrites = looked > ProcessorContext.LoopReads || (looked == MissRoutines.Stack && MissesForWrite(i));
            return;
        }

        // A slot may hold the page of the last byte while the access begins in the one before.
        if (_checked && _compareSlot >= 0 && i.Mnemonic == Mnemonic.Cmp && i.Op0Register == Register.R10 && i.Op1Register == Register.R14 && _value == Tag.Page)
        {
            _comparesBegin = true;
            return;
        }

        if (_comparesBegin)
        {
            _comparesBegin = false;
            _beginChecked = i.Mnemonic == Mnemonic.Jl && i.NearBranchTarget == _miss;
            return;
        }

        if (_compared != 0 && i.Mnemonic == Mnemonic.Jne)
        {
            _checked = true;
            _miss = 0;
            ulong coldAddress = i.NearBranchTarget;
            Instruction cold = _code.Find(c => c.IP == coldAddress);
            if (cold.Mnemonic == Mnemonic.Call && _routines.Misses.TryFind((byte*)cold.NearBranchTarget, out int slot, out bool write, out _) && write == _compareWrites && slot == _compareSlot)
            {
                _miss = cold.IP;
                _looks.Add((i.IP, cold.IP));
            }

            return;
        }

        if (i.Mnemonic == Mnemonic.Mov && gs && i.Op0Kind == OpKind.Memory && i.Op1Register == Register.R10 && FindWindow(field) is var kept and >= 0)
        {
            _windows[kept] = (_reachable, _writable);
        }

        if (i.Mnemonic == Mnemonic.Mov && gs && i.Op0Register == Register.R10 && FindWindow(field) is var window and >= 0)
        {
            (reachable, _writable) = _windows[window];
        }
        else if (i.Op0Register == Register.R11D && i.Mnemonic == Mnemonic.And)
        {
            temporary = i.Immediate32 == ContextLayout.TlbMask ? Entry.TlbOffset : i.Immediate32 == JumpCache.Count - 1 ? Entry.JumpIndex : Entry.Unknown;
        }
        else if (i.Op0Register == Register.R11D && i.Mnemonic == Mnemonic.Shl && _temporary == Entry.JumpIndex && i.Immediate8 == 4)
        {
            temporary = Entry.JumpOffset;
        }
        else if (i.Op0Register == Register.R11 && i.Mnemonic == Mnemonic.Add && gs)
        {
            temporary = _temporary == Entry.TlbOffset && field == ContextLayout.Tlb ? Entry.TlbEntry
                : _temporary == Entry.JumpOffset && field == ContextLayout.Jumps ? Entry.JumpEntry : Entry.Unknown;
        }
        else if (i.Op0Register == Register.R14 && i.Mnemonic == Mnemonic.Lea && i.MemoryBase == Register.R10 && i.MemoryIndex == Register.None)
        {
            value = Tag.LastByte;
            _bytes = field + 1;
        }
        else if (i.Op0Register == Register.R14 && i.Mnemonic == Mnemonic.Mov && i.Op1Register == Register.R10)
        {
            value = Tag.LastByte;
            _bytes = 1;
        }
        else if (i.Op0Register == Register.R14 && i.Mnemonic == Mnemonic.And && _value == Tag.LastByte && (long)i.GetImmediate(1) == -4096)
        {
            value = Tag.Page;
        }
        else if (i.Op0Register == Register.R10 && i.Mnemonic == Mnemonic.Add && _checked && fromEntry && field == (_compareWrites ? ContextLayout.WriteTag : 0) + ContextLayout.Addend)
        {
            reachable = _compared;
            _writable = _compareWrites;
        }
        else if (i.Op0Register == Register.R10 && i.Mnemonic == Mnemonic.Add && _checked && _beginChecked && gs && _compareSlot >= 0 && field == ContextLayout.Slot(_compareSlot) + ContextLayout.Addend)
        {
            reachable = _compared;
            _writable = _compareWrites;
        }

        _checked = false;
        _compared = 0;
        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            if (used.Access is OpAccess.Read or OpAccess.CondRead)
            {
                continue;
            }

            switch (used.Register.GetFullRegister())
            {
                case Register.R10:
                    _reachable = reachable;
                    _value = Tag.Unknown;
                    break;
                case Register.R11:
                    _temporary = temporary;
                    break;
                case Register.R14:
                    _value = value;
                    _boundedBit = i.Mnemonic == Mnemonic.And && i.Op0Register == Register.R14D && i.Op1Kind == OpKind.Immediate8to32 && i.GetImmediate(1) is 31 or 63;
                    bool offset = i.Mnemonic == Mnemonic.Lea && i.MemoryBase == Register.R14 && i.MemoryIndex == Register.None
                        && field == Tlb.SupervisorWithoutSmap * TlbEntry.Stride * sizeof(TlbEntry);
                    _pointer = i.Mnemonic == Mnemonic.Mov && gs && field is var f && (f == ContextLayout.TlbArrays || f == ContextLayout.UserTlb || f == ContextLayout.JumpArrays || f == ContextLayout.UserJumps) ? f : offset ? _pointer : 0;
                    break;
            }
        }
    }
}

using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Tests.Machines;

namespace Lamina.SoftCpu.Tests.Memory;

/// <summary>The page walker against a second reading of the architecture, on random tables, in every paging mode.</summary>
public sealed unsafe class PageWalkerTests : IDisposable
{
    private const int Cases = 40_000;
    private const uint Tables = 0x10_0000;
    private const ulong NoExecute = 1UL << 63;

    private readonly TestMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void FourLevels()
    {
        Random random = new(1);
        ProcessorContext* c = _machine.Context;
        for (int n = 0; n < Cases; n++)
        {
            ulong linear = (ulong)random.NextInt64(0, 1L << 48);
            linear = (ulong)((long)(linear << 16) >> 16);
            SetMode(random, c, 0x20, 0x500);
            c->Cr3 = Tables;
            ulong[] entries = new ulong[4];
            ulong[] addresses = new ulong[4];
            ulong table = Tables;
            for (int level = 3; level >= 0; level--)
            {
                ulong entry = RandomEntry(random) & ~(level > 0 && random.Next(6) != 0 ? 0x80UL : 0);
                ulong next = Tables + ((4 - (uint)level) * 0x1000);
                bool leaf = level == 0 || (level < 3 && (entry & 0x80) != 0);
                entry |= leaf ? (ulong)random.NextInt64(0, 1L << 28) << 12 & ~((1UL << (12 + (9 * level))) - 1) : next;
                entry |= leaf && level > 0 && random.Next(8) == 0 ? 1UL << random.Next(12, 12 + (9 * level)) : 0;
                addresses[level] = table + (((linear >> (12 + (9 * level))) & 511) * 8);
                entries[level] = _machine.At<ulong>(addresses[level]) = entry;
                table = next;
            }

            Check($"seed 1 case {n}", linear, 3, entries, addresses, random, 8);
        }
    }

    [Fact]
    public void Pae()
    {
        Random random = new(2);
        ProcessorContext* c = _machine.Context;
        for (int n = 0; n < Cases; n++)
        {
            SetMode(random, c, 0x20, 0);
            ulong linear = (uint)random.Next(int.MinValue, int.MaxValue);
            uint pointer = random.Next(20) == 0 ? 0u : 1;
            c->Cr3 = Tables;
            for (int k = 0; k < 4; k++)
            {
                _machine.At<ulong>(Tables + ((uint)k * 8)) = (Tables + 0x1000) | pointer;
            }

            Assert.True(_machine.Processor.LoadPageDirectoryPointers(Tables));
            ulong[] entries = new ulong[3];
            ulong[] addresses = new ulong[3];
            addresses[1] = Tables + 0x1000 + (((linear >> 21) & 511) * 8);
            addresses[0] = Tables + 0x2000 + (((linear >> 12) & 511) * 8);
            ulong directory = RandomEntry(random) & ~(random.Next(3) != 0 ? 0x80UL : 0);
            directory |= (directory & 0x80) != 0 ? (ulong)random.NextInt64(0, 1L << 19) << 21 : Tables + 0x2000;
            directory |= (directory & 0x80) != 0 && random.Next(8) == 0 ? 1UL << random.Next(12, 21) : 0;
            entries[1] = directory | (random.Next(30) == 0 ? 1UL << random.Next(52, 63) : 0);
            entries[0] = RandomEntry(random) | ((ulong)random.NextInt64(0, 1L << 28) << 12) | (random.Next(30) == 0 ? 1UL << random.Next(52, 63) : 0);
            entries[2] = pointer | 6;
            _machine.At<ulong>(addresses[1]) = entries[1];
            _machine.At<ulong>(addresses[0]) = entries[0];
            Check($"seed 2 case {n}", linear, 1, entries, addresses, random, 8, pointer != 0, 0x7ff0_0000_0000_0000);
        }
    }

    [Fact]
    public void TwoLevels()
    {
        Random random = new(3);
        ProcessorContext* c = _machine.Context;
        for (int n = 0; n < Cases; n++)
        {
            SetMode(random, c, random.Next(2) == 0 ? 0x10UL : 0, 0);
            c->Cr3 = Tables;
            bool pse = (c->Cr4 & 0x10) != 0;
            ulong linear = (uint)random.Next(int.MinValue, int.MaxValue);
            uint directory = (uint)RandomEntry(random) & 0xfff & ~(random.Next(3) != 0 ? 0x80u : 0);
            bool large = pse && (directory & 0x80) != 0;
            directory |= large ? ((uint)random.Next(1 << 10) << 22) | ((uint)random.Next(256) << 13) | (random.Next(8) == 0 ? 1u << 21 : 0) : Tables + 0x1000;
            uint page = ((uint)RandomEntry(random) & 0xfff) | ((uint)random.Next(1 << 20) << 12);
            ulong[] addresses = [Tables + 0x1000 + (((linear >> 12) & 1023) * 4), Tables + ((linear >> 22) * 4)];
            _machine.At<uint>(addresses[1]) = directory;
            _machine.At<uint>(addresses[0]) = page;

            // The model is that of 64-bit entries: bit 21 becomes a reserved bit of it.
            ulong reserved = large && (directory & (1 << 21)) != 0 ? 1UL << 51 : 0;
            ulong[] entries = [page, (large ? (directory & 0xfffu) | (directory & 0xffc0_0000) | ((ulong)((directory >> 13) & 0xff) << 32) : directory & ~(pse ? 0 : 0x80u)) | reserved];
            Check($"seed 3 case {n}", linear, 1, entries, addresses, random, 4);
        }
    }

    private static void SetMode(Random random, ProcessorContext* c, ulong cr4, ulong efer)
    {
        c->Cr0 = 0x8000_0011 | (random.Next(2) == 0 ? 0x1_0000UL : 0);
        c->Cr4 = cr4 | (random.Next(3) == 0 ? 1UL << 20 : 0) | (random.Next(3) == 0 ? 1UL << 21 : 0);
        c->Efer = efer | (random.Next(3) != 0 ? 0x800UL : 0);
        ProcessorMode.Update(c);
    }

    private static ulong RandomEntry(Random random)
    {
        ulong entry = 7 | ((ulong)random.Next(0x100) << 1 & 0x1f8) | (random.Next(4) == 0 ? NoExecute : 0);
        entry &= ~(random.Next(15) == 0 ? 1UL : 0) & ~(random.Next(5) == 0 ? 2UL : 0) & ~(random.Next(4) == 0 ? 4UL : 0);
        return entry | (random.Next(40) == 0 ? 1UL << random.Next(40, 52) : 0);
    }

    private void Check(string seed, ulong linear, int top, ulong[] entries, ulong[] addresses, Random random, int width, bool present = true, ulong reservedAlways = 0)
    {
        ProcessorContext* c = _machine.Context;
        PageAccess access = (PageAccess)random.Next(3);
        bool user = random.Next(2) == 0;
        bool smapOff = random.Next(2) == 0;
        bool nxe = (c->Efer & 0x800) != 0 && width == 8;
        uint? fault = present ? null : 0;
        bool writable = true;
        bool userPage = true;
        bool noExecute = false;
        int leaf = -1;
        for (int level = top; level >= 0 && leaf < 0 && fault == null; level--)
        {
            ulong e = entries[level];
            bool isLeaf = level == 0 || (level < 3 && (e & 0x80) != 0);
            ulong reserved = 0x000f_ff00_0000_0000 | reservedAlways | (nxe ? 0 : NoExecute);
            ulong inside = width == 4 ? 0 : level == 1 ? 0x1f_e000UL : 0x3fff_e000;
            reserved |= isLeaf && level > 0 ? inside : level == 3 ? 0x80UL : 0;
            fault = (e & 1) == 0 ? 0 : (e & reserved) != 0 ? 9u : null;
            writable &= (e & 2) != 0;
            userPage &= (e & 4) != 0;
            noExecute |= (e & NoExecute) != 0;
            leaf = isLeaf ? level : -1;
        }

        bool mayWrite = writable || (!user && (c->Cr0 & 0x1_0000) == 0);
        if (fault == null)
        {
            bool smep = (c->Cr4 & (1 << 20)) != 0;
            bool smap = (c->Cr4 & (1 << 21)) != 0 && !smapOff;
            bool denied = (user && !userPage)
                || (access == PageAccess.Execute && (noExecute || (!user && userPage && smep)))
                || (access != PageAccess.Execute && !user && userPage && smap)
                || (access == PageAccess.Write && !mayWrite);
            fault = denied ? 1u : null;
        }

        bool fetchBit = access == PageAccess.Execute && (nxe || (c->Cr4 & (1 << 20)) != 0);
        uint? expected = fault == null ? null : fault | (access == PageAccess.Write ? 2u : 0) | (user ? 4u : 0) | (fetchBit ? 16u : 0);
        bool done = PageWalker.Walk(c, _machine.Processor, linear, access, user, smapOff, out PageTranslation t, out uint code);
        string what = $"{seed}: {linear:x} {access} user {user} smapOff {smapOff} CR0 {c->Cr0:x} CR4 {c->Cr4:x} EFER {c->Efer:x} entries {string.Join(' ', entries.Select(static e => e.ToString("x")))}";
        Assert.True(done == (expected == null) && (done || code == expected), $"{what}: error code {(done ? "none" : code.ToString("x"))}, expected {expected?.ToString("x") ?? "none"}");
        for (int level = top; level >= 0; level--)
        {
            if (addresses[level] == 0)
            {
                continue;
            }

            bool used = done && level >= leaf;
            ulong set = used ? 0x20 | (level == leaf && access == PageAccess.Write ? 0x40UL : 0) : 0;
            ulong now = width == 8 ? _machine.At<ulong>(addresses[level]) : _machine.At<uint>(addresses[level]) & 0xfff;
            ulong before = width == 8 ? entries[level] : entries[level] & 0xfff;
            ulong ignored = width == 4 ? 0x80UL : 0;
            Assert.True(((now ^ (before | set)) & ~ignored) == 0, $"{what}: entry {level} is {now:x}, expected {before | set:x}");
        }

        if (done)
        {
            int shift = width == 8 ? 12 + (9 * leaf) : leaf == 0 ? 12 : 22;
            ulong mask = (1UL << shift) - 1;
            ulong frame = entries[leaf] & (width == 8 || leaf == 1 ? 0x000f_ffff_ffff_f000UL : 0xffff_f000UL) & ~mask;
            Assert.True(t.Physical == (frame | (linear & mask)) && t.PageSize == mask + 1, $"{what}: {t.Physical:x} size {t.PageSize:x}, expected {frame | (linear & mask):x}");
            bool dirty = (entries[leaf] & 0x40) != 0 || access == PageAccess.Write;
            Assert.True(t.Writable == (dirty && mayWrite), $"{what}: writable {t.Writable}");
        }
    }
}

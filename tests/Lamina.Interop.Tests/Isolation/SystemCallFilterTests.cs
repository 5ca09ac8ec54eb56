using Lamina.Interop.Isolation;

namespace Lamina.Interop.Tests.Isolation;

/// <summary>A filter decides as its policy says, for every number and for arguments around those that matter. The filter is run here, by an interpreter of its own.</summary>
public sealed class SystemCallFilterTests
{
    private const uint ThisArchitecture = 0xc000003e;

    [Fact]
    public void TheFilterDecidesAsThePolicyDoes()
    {
        SystemCallPolicy policy = new SystemCallPolicy()
            .Allow(SystemCall.Read, SystemCall.Write, SystemCall.Futex, SystemCall.FutexWait)
            .AllowWhere(SystemCall.Ioctl, new ArgumentCheck(1, uint.MaxValue, 0x5401))
            .AllowWhere(SystemCall.Ioctl, new ArgumentCheck(1, 0xff00, 0xae00))
            .AllowWhere(SystemCall.Socketpair, new ArgumentCheck(0, uint.MaxValue, 1), new ArgumentCheck(1, 0xf, 1))
            .AllowWhere(SystemCall.Openat, new ArgumentCheck(2, 0x3, 0))
            .Hide(SystemCall.Clone3)
            .Kill(SystemCall.Execve, SystemCall.Ptrace);
        SystemCallFilter filter = policy.Build();
        ulong[][] arguments =
        [
            [0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 0x80801, 1, 0, 0, 0], [2, 0x5401, 2, 0, 0, 0], [0, 0xae80, 0, 0, 0, 0], [0, 0x0000_0001_0000_5401, 4, 0, 0, 0], [1, 2, 0x80000, 0, 0, 0],
            [ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, 0, 0, 0],
        ];
        for (int call = 0; call < 600; call++)
        {
            foreach (ulong[] values in arguments)
            {
                SystemCallVerdict expected = policy.Decide(call, values);
                SystemCallVerdict actual = Run(filter.Code, ThisArchitecture, (uint)call, values);
                Assert.True(expected == actual, $"The call {call} with {string.Join(", ", values)} is to be {expected}, and the filter says {actual}.");
            }
        }
    }

    [Fact]
    public void CallsOfOtherConventionsEndTheProcess()
    {
        SystemCallFilter filter = new SystemCallPolicy().Allow(SystemCall.Read).Build();
        Assert.Equal(SystemCallVerdict.Kill, Run(filter.Code, 0x40000003, 0, new ulong[6]));
        Assert.Equal(SystemCallVerdict.Kill, Run(filter.Code, ThisArchitecture, 0x40000000, new ulong[6]));
        Assert.Equal(SystemCallVerdict.Allow, Run(filter.Code, ThisArchitecture, 0, new ulong[6]));
    }

    [Fact]
    public void TheLastWordCounts()
    {
        SystemCallPolicy policy = new SystemCallPolicy().Allow(SystemCall.Read, SystemCall.Write).Refuse(SystemCall.Write).Kill(SystemCall.Read);
        Assert.Equal(SystemCallVerdict.Refuse, policy.Decide((int)SystemCall.Write, new ulong[6]));
        Assert.Equal(SystemCallVerdict.Kill, policy.Decide((int)SystemCall.Read, new ulong[6]));
    }

    private static SystemCallVerdict Run(ReadOnlySpan<FilterInstruction> code, uint architecture, uint call, ulong[] arguments)
    {
        uint accumulator = 0;
        for (int at = 0; ; at++)
        {
            FilterInstruction instruction = code[at];
            switch (instruction.Code)
            {
                case 0x20:
                    accumulator = instruction.Value switch
                    {
                        0 => call,
                        4 => architecture,
                        >= 16 and < 64 => (uint)(arguments[(instruction.Value - 16) / 8] >> (instruction.Value % 8 == 0 ? 0 : 32)),
                        _ => throw new InvalidOperationException($"The filter reads at {instruction.Value}."),
                    };
                    break;
                case 0x54:
                    accumulator &= instruction.Value;
                    break;
                case 0x05:
                    at += (int)instruction.Value;
                    break;
                case 0x15:
                    at += accumulator == instruction.Value ? instruction.IfTrue : instruction.IfFalse;
                    break;
                case 0x35:
                    at += accumulator >= instruction.Value ? instruction.IfTrue : instruction.IfFalse;
                    break;
                case 0x06:
                    return instruction.Value switch
                    {
                        0x7fff0000 => SystemCallVerdict.Allow,
                        0x00050001 => SystemCallVerdict.Refuse,
                        0x00050026 => SystemCallVerdict.Missing,
                        0x80000000 => SystemCallVerdict.Kill,
                        _ => throw new InvalidOperationException($"The filter returns {instruction.Value:x}."),
                    };
                default:
                    throw new InvalidOperationException($"The filter has an instruction {instruction.Code:x}.");
            }
        }
    }
}

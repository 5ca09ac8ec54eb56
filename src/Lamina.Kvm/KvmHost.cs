using System.Diagnostics;
using System.Globalization;
using System.Runtime.Intrinsics.X86;
using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Interop.Memory;
using Lamina.Interop.Probing;
using Lamina.Machine.Memory;

namespace Lamina.Kvm;

/// <summary>Whether KVM can be used on this host, and whether it is worth it.</summary>
public static unsafe class KvmHost
{
    // Hardware takes a nanosecond or less for an instruction of a guest's kernel, Lamina's interpreter about six, a KVM without hardware nearly a thousand.
    private const double SlowestUseful = 10;
    private const int WarmUp = 1;
    private const ushort Measured = 200;
    private const int Rounds = 5;
    private const int VirtualMachineExtensions = 1 << 5;
    private const int SecureVirtualMachine = 1 << 2;
    private const uint GroupBits = 0x30;

    /// <summary>The processor under this kernel has a virtualization extension. Without one, a KVM that is there all the same emulates ring 0.</summary>
    public static bool HasHardware { get; } = X86Base.IsSupported
        && ((X86Base.CpuId(1, 0).Ecx & VirtualMachineExtensions) != 0 || (X86Base.CpuId(unchecked((int)0x8000_0001), 0).Ecx & SecureVirtualMachine) != 0);

    /// <summary>Why KVM cannot be used here, as one line for a person; null if it can.</summary>
    public static string? FindProblem(string path = KvmDevice.DefaultPath)
    {
        try
        {
            using KvmDevice device = KvmDevice.Open(path: path);
            return device.ApiVersion == KvmDevice.ExpectedApiVersion ? null : $"{path} is not KVM as Lamina knows it";
        }
        catch (SystemCallException e) when (e.ErrorNumber == ErrorNumber.NoEntry)
        {
            return $"there is no {path}: the kernel lacks KVM, the module kvm_intel or kvm_amd is not loaded, or virtualization is switched off in the firmware";
        }
        catch (SystemCallException e) when (e.ErrorNumber is ErrorNumber.AccessDenied or ErrorNumber.NotPermitted)
        {
            return $"this user may not open {path}: {DescribeRemedy(path)}";
        }
        catch (SystemCallException e)
        {
            return $"{path}: {e.Reason}";
        }
    }

    /// <summary>Whether KVM executes a guest's kernel faster than the translator does; tried out in a few milliseconds.</summary>
    /// <param name="reason">What was found, for a person.</param>
    public static bool IsWorthIt(out string reason)
    {
        if (FindProblem() is { } problem)
        {
            reason = problem;
            return false;
        }

        try
        {
            double time = MeasureKernelMode();
            bool fast = time <= SlowestUseful;
            reason = string.Create(
                CultureInfo.InvariantCulture,
                $"KVM takes {time:F1} ns an instruction of a guest's kernel{(fast ? "" : ": there is no hardware behind it, and the translator is faster")}");
            return fast;
        }
        catch (Exception e) when (e is SystemCallException or NotSupportedException)
        {
            reason = $"KVM does not work here: {e.Message}";
            return false;
        }
    }

    /// <summary>Whether programs in a guest, and not its kernel alone, reach VMware's backdoor ports: a parameter of the module kvm, which is off unless an administrator has said otherwise.</summary>
    public static bool OpensBackdoor()
    {
        try
        {
            return File.ReadAllText("/sys/module/kvm/parameters/enable_vmware_backdoor").StartsWith('Y');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Nanoseconds for an instruction in ring 0, by a loop in real mode.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    /// <exception cref="NotSupportedException">The loop does not come to its end.</exception>
    public static double MeasureKernelMode()
    {
        // dec cx; jnz; hlt
        ReadOnlySpan<byte> code = [0x49, 0x75, 0xfd, 0xf4];
        using KvmDevice device = KvmDevice.Open();
        using MemoryMapping page = MemoryMapping.CreateAnonymous(GuestMemory.PageSize, hugePages: false);
        using KvmMachine machine = device.CreateMachine();
        using KvmVirtualProcessor processor = machine.CreateProcessor(0);
        machine.SetMemory(0, 0, 0, GuestMemory.PageSize, page.Address);
        code.CopyTo(page.GetSpan(0, code.Length));
        processor.GetSystemRegisters(out KvmSystemRegisters system);
        system.Cs.Base = system.Cs.Selector = 0;
        if (processor.SetSystemRegisters(system) is var error and < 0)
        {
            throw new SystemCallException(KvmRequest.GetName(KvmRequest.SetSystemRegisters), -error);
        }

        RunLoop(processor, WarmUp);
        return TimeAnInstruction(count => RunLoop(processor, count));
    }

    /// <summary>Nanoseconds for one of the loop's two instructions, by the shortest of several runs each: on a busy host some are longer by milliseconds, and what entering KVM takes must not look like more than a whole loop.</summary>
    /// <param name="run">Runs the loop so many times, and says how long that took.</param>
    internal static double TimeAnInstruction(Func<ushort, TimeSpan> run)
    {
        TimeSpan entry = TimeSpan.MaxValue;
        TimeSpan loop = TimeSpan.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            TimeSpan one = run(WarmUp);
            TimeSpan all = run(Measured);
            entry = one < entry ? one : entry;
            loop = all < loop ? all : loop;
        }

        return Math.Max(0, (loop - entry).TotalNanoseconds) / (2 * (Measured - WarmUp));
    }

    private static TimeSpan RunLoop(KvmVirtualProcessor processor, ushort count)
    {
        long start = Stopwatch.GetTimestamp();
        processor.SetRegisters(new KvmRegisters { Rcx = count, Rflags = 2 });
        int result;
        do
        {
            result = processor.Enter();
        }
        while (result is -ErrorNumber.Interrupted or -ErrorNumber.TryAgain);

        // SAFETY: the shared page is mapped as long as the processor lives.
        uint reason = processor.Run->ExitReason;
        if (result < 0 || reason != (uint)KvmExitReason.Halt)
        {
            throw new NotSupportedException($"a loop in real mode ended with KVM exit {reason} (result {result})");
        }

        return Stopwatch.GetElapsedTime(start);
    }

    private static string DescribeRemedy(string path)
    {
        if (!FileOwner.TryGet(path, out uint group, out uint mode))
        {
            return "join the group that owns it (usually kvm), and log in again";
        }

        string name = FindGroup(group);
        return (mode & GroupBits) == GroupBits && group != 0
            ? $"join the group '{name}' (usermod -aG {name} USER, as root), and log in again"
            : "it is root's alone; an administrator can open it to the group kvm (chgrp kvm and chmod 660)";
    }

    private static string FindGroup(uint number)
    {
        try
        {
            string suffix = $":{number}:";
            foreach (string line in File.ReadLines("/etc/group"))
            {
                if (line.Contains(suffix, StringComparison.Ordinal))
                {
                    return line[..line.IndexOf(':', StringComparison.Ordinal)];
                }
            }
        }
        catch (IOException)
        {
            // The number will do.
        }

        return number.ToString(CultureInfo.InvariantCulture);
    }
}

namespace Lamina.Cli.Tests;

/// <summary>What a person sees who gets a command line wrong: one line that helps, and status 125.</summary>
public sealed class LaminaProgramTests
{
    [Theory]
    [InlineData("run", "nothing to run: name an image (debian, debian-generic) or a kernel with --kernel FILE.")]
    [InlineData("run debain", "there is no image 'debain'. Images: debian, debian-generic. Did you mean 'debian'?")]
    [InlineData("run --memry 1G debian", "unknown option '--memry'. Did you mean '--memory'? See 'lamina run --help'.")]
    [InlineData("run debian --memry=1G", "unknown option '--memry'. Did you mean '--memory'? See 'lamina run --help'.")]
    [InlineData("run debian --memory", "--memory needs a value: --memory SIZE. See 'lamina run --help'.")]
    [InlineData("run debian --memory 1G --memory 2G", "--memory is given more than once. See 'lamina run --help'.")]
    [InlineData("run debian --memory 512", "--memory '512' has no unit. Did you mean '512M'? Units are K, M, G and T.")]
    [InlineData("run debian --max-memory 1G", "--max-memory '1G' is for guests of Hyper-V, whose drivers take more memory while they run. Add --personality hyperv.")]
    [InlineData("run debian --personality hyperv --max-memory 600M", "--max-memory '600M' is not what the machine has at the start (512 MiB) and pieces of 128M. Did you mean '640M'?")]
    [InlineData("run debian --personality hyperv --max-memory 256M", "--max-memory '256M' is not what the machine has at the start (512 MiB) and pieces of 128M. Did you mean '512M'?")]
    [InlineData("run debian --cpus 0", "--cpus '0' is not accepted: a machine has 1 to 64 virtual processors.")]
    [InlineData("run debian --cpus 65", "--cpus '65' is not accepted: a machine has 1 to 64 virtual processors.")]
    [InlineData("run debian --cpus two", "--cpus 'two' is not accepted: a machine has 1 to 64 virtual processors.")]
    [InlineData("run debian --accel kmv", "--accel 'kmv' is not known. Accepted: auto, kvm, translator, interpreter. Did you mean 'kvm'?")]
    [InlineData("run debian --accel interpreter --kernel-irqchip split", "--kernel-irqchip says what KVM does, and this machine would use the interpreter. Add --accel kvm.")]
    [InlineData("run debian --accel interpreter --kernel-irqchip spilt", "--kernel-irqchip 'spilt' is not known. Accepted: auto, off, split, on. Did you mean 'split'?")]
    [InlineData("run debian --accel interpreter --kvmclock", "--kvmclock is a clock of KVM, and this machine would use the interpreter. Add --accel kvm.")]
    [InlineData("run debian --accel interpreter --lockstep", "--lockstep is for the translator, and this machine would use the interpreter. Add --accel translator.")]
    [InlineData("run debian --accel translator --lockstep --cpus 2", "--lockstep is for machines with one virtual processor. Leave --cpus out.")]
    [InlineData("run debian --accel interpreter --strict-code", "--strict-code is for the translator, and this machine would use the interpreter. Add --accel translator.")]
    [InlineData("run debian --accel interpreter --perf-map", "--perf-map is for the translator, and this machine would use the interpreter. Add --accel translator.")]
    [InlineData("run debian --accel interpreter --dump-blocks b", "--dump-blocks is for the translator, and this machine would use the interpreter. Add --accel translator.")]
    [InlineData("run debian --cpu x86-64-v9", "--cpu 'x86-64-v9' is not known. Accepted: x86-64-v2, x86-64-v3, max. Did you mean 'x86-64-v2'?")]
    [InlineData("run debian --serial tcp", "--serial 'tcp' is not known. Accepted: stdio, null, file=PATH.")]
    [InlineData("run debian --on-reboot halt", "--on-reboot 'halt' is not known. Accepted: restart, exit.")]
    [InlineData("run debian --disk ,readonly", "--disk ',readonly' names no file. Write --disk FILE, with settings after commas: format=raw, format=qcow2, readonly, serial=TEXT, iops=N, bps=SIZE, burst=MILLISECONDS, werror=report, werror=stop, cache=none, grants=persistent.")]
    [InlineData("run debian --disk d,readonyl", "--disk 'd,readonyl': 'readonyl' is not known. Accepted: format=raw, format=qcow2, readonly, serial=TEXT, iops=N, bps=SIZE, burst=MILLISECONDS, werror=report, werror=stop, cache=none, grants=persistent. Did you mean 'readonly'?")]
    [InlineData("run debian --disk d,format=vhd", "--disk: the format 'vhd' is not known. Accepted: raw, qcow2.")]
    [InlineData("run debian --net usr", "--net 'usr' is not known. Accepted: user, tap=NAME, bridge=NAME, none. Did you mean 'user'?")]
    [InlineData("run debian --net tap", "--net 'tap' does not name an interface: 1 to 15 characters after 'tap='.")]
    [InlineData("run debian --publish 80", "--publish '80' is not accepted. Write [ADDRESS:]HOSTPORT:GUESTPORT, and /udp behind it for UDP.")]
    [InlineData("run debian --net none --publish 80:80", "--publish needs --net user; with --net none the guest has no ports on this host.")]
    [InlineData("run debian --share /tmp", "--share '/tmp' is not accepted. Write DIRECTORY:/PATH, or DIRECTORY:/PATH:ro for reading only; PATH is where the guest has it.")]
    [InlineData("run debian --share /none:/src", "--share '/none:/src': there is no directory '/none'.")]
    [InlineData("run debian --share /tmp:/", "--share '/tmp:/': the guest cannot have it as its root directory.")]
    [InlineData("disk create x.qcow2", "'x.qcow2' needs a size, such as 20G, or a backing image.")]
    [InlineData("disk create x.qcow2 big", "'big' is not a size. Write a number and a unit, such as 512M or 20G.")]
    [InlineData("disk check /none --repair some", "--repair 'some' is not known. Accepted: leaks, all.")]
    [InlineData("disk check /none", "'/none' cannot be checked: No such file or directory")]
    [InlineData("disk rebase x", "'x' needs its new backing image: --backing IMAGE, or --backing none.")]
    [InlineData("disk commit /none.qcow2", "'/none.qcow2' cannot be opened for writing: No such file or directory")]
    [InlineData("disk info /none", "'/none' cannot be opened: No such file or directory")]
    [InlineData("run debian --name a/b", "--name 'a/b' is not accepted: 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit.")]
    [InlineData("run debian:Trixie", "there is no image 'debian:Trixie'. Images: debian, debian-generic.")]
    [InlineData("run --kernel k --persist", "--persist keeps the disk of an image; a disk given with --disk is kept anyway.")]
    [InlineData("run --kernel k --user-data /none/x", "--user-data '/none/x' cannot be used: Could not find a part of the path '/none/x'.")]
    [InlineData("image build fedora", "'fedora' is no image that can be built. Write debian, or debian:SUITE such as debian:trixie.")]
    [InlineData("image build debian --size 5M", "--size '5M' is not accepted: write a number and a unit, such as 20G; at least 1 GiB.")]
    [InlineData("image build debian --include a,B!", "--include 'B!' is no name of a package.")]
    [InlineData("run debian ls", "unexpected argument 'ls'. A command to run in the guest goes after '--'. See 'lamina run --help'.")]
    [InlineData("run debian --", "no command after '--'. Write the command, or leave '--' out for a shell.")]
    [InlineData("run --kernel k -- ls", "a command after '--' needs an image (debian, debian-generic) to run it.")]
    [InlineData("run debian --initrd i", "--initrd 'i' cannot be used with the image 'debian', which brings its own. Leave one of them out.")]
    [InlineData("hots", "unknown command 'hots'. Did you mean 'host'? See 'lamina --help'.")]
    [InlineData("host -- ls", "'--' and a command belong to 'lamina run IMAGE -- COMMAND' and 'lamina exec NAME -- COMMAND'.")]
    [InlineData("host extra", "unexpected argument 'extra'. See 'lamina host --help'.")]
    [InlineData("--frobnicate", "unknown option '--frobnicate'. See 'lamina --help'.")]
    [InlineData("run --kernel /nonexistent/kernel", "'/nonexistent/kernel' does not exist.")]
    public void Explains_a_wrong_command_line(string arguments, string message)
    {
        (int status, string output, string error) = Run(arguments);
        Assert.Equal($"lamina: {message}\n", error);
        Assert.Equal("", output);
        Assert.Equal(125, status);
    }

    [Theory]
    [InlineData("")]
    [InlineData("--help")]
    [InlineData("run --help")]
    [InlineData("run debian --memory 1 -h")]
    [InlineData("host --help")]
    [InlineData("disk --help")]
    [InlineData("disk create --help")]
    [InlineData("disk check --help")]
    [InlineData("disk rebase --help")]
    [InlineData("image --help")]
    [InlineData("image build --help")]
    public void Shows_help(string arguments)
    {
        (int status, string output, string error) = Run(arguments);
        Assert.Equal(0, status);
        Assert.Equal("", error);
        Assert.Contains("Usage:", output, StringComparison.Ordinal);
        Assert.All(output.Split('\n'), line => Assert.True(line.Length <= 100, line));
        Assert.All(output.Split('\n'), line => Assert.Equal(line.TrimEnd(), line));
    }

    [Fact]
    public void Shows_its_version()
    {
        (int status, string output, _) = Run("--version");
        Assert.Equal(0, status);
        Assert.Matches(@"^lamina \d+\.\d+\.\d+\n$", output);
    }

    [Fact]
    public void Help_of_run_names_every_option_and_status()
    {
        string output = Run("run --help").Output;
        string[] expected =
            ["--kernel", "--initrd", "--append", "--memory", "--cpus", "--accel", "--lockstep", "--lockstep-all", "--perf-map", "--dump-blocks", "--strict-code", "--cpu", "--serial", "--name", "--on-reboot", "Ctrl-A x", "Ctrl-A h", "125", "134",
             "--persist", "--user-data", "--disk", "--net", "--publish", "--share"];
        Assert.All(expected, word => Assert.Contains(word, output, StringComparison.Ordinal));
    }

    private static (int Status, string Output, string Error) Run(string arguments)
    {
        using StringWriter output = new() { NewLine = "\n" };
        using StringWriter error = new() { NewLine = "\n" };
        int status = new LaminaProgram(output, error).Run(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        return (status, output.ToString(), error.ToString());
    }
}

using Lamina.Management.Machines;

namespace Lamina.Management.Tests.Machines;

/// <summary>Names belong to the machine that took them as long as its process lives, and to nobody afterwards.</summary>
public sealed class MachineRegistryTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-registry").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_name_is_given_once()
    {
        MachineRegistry registry = new(_directory);
        using MachineEntry? web = registry.TryEnter("web");
        Assert.NotNull(web);
        Assert.Null(registry.TryEnter("web"));
        using MachineEntry? other = registry.TryEnter("db");
        Assert.NotNull(other);
        Assert.Equal(["db", "web"], registry.List());
        Assert.True(registry.Contains("web"));
        Assert.Equal(Environment.ProcessId, registry.TryReadProcess("web"));
    }

    [Fact]
    public void An_ended_machine_gives_its_name_back()
    {
        MachineRegistry registry = new(_directory);
        registry.TryEnter("web")!.Dispose();
        Assert.Empty(registry.List());
        Assert.False(registry.Contains("web"));
        using MachineEntry? again = registry.TryEnter("web");
        Assert.NotNull(again);
    }

    [Fact]
    public void What_a_dead_process_left_is_removed()
    {
        // As it is after SIGKILL: the files are there, and nobody holds the lock.
        string left = Directory.CreateDirectory(Path.Combine(_directory, "web")).FullName;
        File.WriteAllText(Path.Combine(left, "lock"), "1");
        File.WriteAllText(Path.Combine(left, "control"), "");
        MachineRegistry registry = new(_directory);
        Assert.Empty(registry.List());
        Assert.False(Directory.Exists(left), $"'{left}' is still there");
    }

    [Fact]
    public void Numbered_names_take_the_first_free_number()
    {
        MachineRegistry registry = new(_directory);
        using MachineEntry first = registry.EnterNumbered("debian");
        MachineEntry second = registry.EnterNumbered("debian");
        using MachineEntry third = registry.EnterNumbered("debian");
        Assert.Equal(["debian-1", "debian-2", "debian-3"], [first.Name, second.Name, third.Name]);
        second.Dispose();
        using MachineEntry again = registry.EnterNumbered("debian");
        Assert.Equal("debian-2", again.Name);
    }

    [Fact]
    public void Many_threads_never_get_the_same_name()
    {
        MachineEntry[] entries = new MachineEntry[24];
        Parallel.For(0, entries.Length, i => entries[i] = new MachineRegistry(_directory).EnterNumbered("m"));
        Assert.Equal(entries.Length, entries.Select(e => e.Name).Distinct().Count());
        Assert.Equal(entries.Length, new MachineRegistry(_directory).List().Count);
        Array.ForEach(entries, e => e.Dispose());
    }

    [Theory]
    [InlineData("../web")]
    [InlineData(".web")]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("-a")]
    public void A_name_cannot_lead_elsewhere(string name)
    {
        MachineRegistry registry = new(_directory);
        Assert.Throws<ArgumentException>(() => registry.TryEnter(name));
        Assert.False(registry.Contains(name));
    }
}

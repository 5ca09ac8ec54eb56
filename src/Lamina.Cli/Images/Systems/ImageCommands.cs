using System.CommandLine;
using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Cli.Output;
using Lamina.Cli.Running;
using Lamina.Cli.Tools;

namespace Lamina.Cli.Images.Systems;

/// <summary><c>lamina image</c>: builds, lists and removes images with a whole system.</summary>
internal sealed class ImageCommands
{
    private readonly TextWriter _output;
    private readonly Argument<string> _name = new("NAME") { Description = "debian, or debian:SUITE for another release, such as debian:trixie." };
    private readonly Option<string[]> _include = new("--include") { HelpName = "PKG,...", Description = "Install these packages, too. May be repeated." };
    private readonly Option<string> _size = new("--size") { HelpName = "SIZE", Description = "Size of the disk, which takes only what is used. [default: 8G]" };
    private readonly Option<string> _mirror = new("--mirror") { HelpName = "URL", Description = "Where packages come from. [default: Debian's archive]" };
    private readonly Command _build;
    private readonly Command _list;
    private readonly Command _remove;

    public ImageCommands(TextWriter output)
    {
        _output = output;
        _build = new Command("build", "Install a distribution on a disk, for 'lamina run'.") { _name, _include, _size, _mirror };
        _list = new Command("list", "Show the images.");
        _remove = new Command("remove", "Remove an image.") { _name };
        Command = new Command("image", "Build, list and remove images with a whole system.") { _build, _list, _remove };
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

    /// <summary>Does what was parsed, if it is one of these commands.</summary>
    /// <exception cref="LaminaException">It cannot be done.</exception>
    /// <exception cref="OperationCanceledException">A signal ended it.</exception>
    public bool TryRun(ParseResult result)
    {
        Command chosen = result.CommandResult.Command;
        if (chosen == _build)
        {
            Build(result);
        }
        else if (chosen == _list)
        {
            List(SystemImageStore.Open());
        }
        else if (chosen == _remove)
        {
            SystemImageStore.Open().Remove(SystemImageName.Parse(result.GetValue(_name)!));
        }

        return chosen == _build || chosen == _list || chosen == _remove;
    }

    private void Build(ParseResult result)
    {
        SystemImageName name = SystemImageName.Parse(result.GetValue(_name)!);
        IReadOnlyList<string> extra = SystemImageBuilder.ParsePackages(result.GetValue(_include) ?? []);
        ulong size = SystemImageBuilder.ParseSize(result.GetValue(_size));
        using SignalGuard signals = new();
        try
        {
            SystemImage image;
            using (ProgressDisplay progress = new())
            {
                image = new SystemImageBuilder(SystemImageStore.Open(), new ToolRunner(), progress).Build(name, extra, size, result.GetValue(_mirror), signals.Token);
            }

            _output.WriteLine($"{image.Name}: Debian {image.Name.Suite} with kernel {image.Kernel}. Start it with: lamina run {image.Name}");
        }
        catch (OperationCanceledException e)
        {
            throw new LaminaException($"the image '{name}' was not built: interrupted.", e);
        }
    }

    private void List(SystemImageStore store)
    {
        IReadOnlyList<SystemImage> images = store.List();
        _output.WriteLine($"{"NAME",-18} {"KERNEL",-26} {"SIZE",-10} {"BUILT",-16} PACKAGES");
        foreach (SystemImage image in images)
        {
            string size = MemorySize.Format((ulong)new FileInfo(image.GetPath(SystemImage.DiskFile)).Length);
            _output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{image.Name,-18} {image.Kernel,-26} {size,-10} {image.Built,-16:yyyy-MM-dd HH:mm} {image.Extra}").TrimEnd());
            foreach (string disk in store.GetKeptDisks(image.Name))
            {
                _output.WriteLine($"  kept disk: {disk}");
            }
        }

        _output.WriteLine($"{(images.Any(i => i.Name.IsDefault) ? ImageCatalog.Small : "debian"),-18} {"(from Debian's packages)",-26} {"memory",-10} {"at first use",-16}");
        _output.WriteLine($"{"debian-generic",-18} {"(from Debian's packages)",-26} {"memory",-10} {"at first use",-16}");
    }
}

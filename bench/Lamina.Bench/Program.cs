using System.Globalization;
using System.Text.Json;
using Lamina.Bench;
using Lamina.Bench.Basket;
using Lamina.Bench.Io;
using Lamina.Bench.Snapshots;

const string usage = $"usage: Lamina.Bench loop|device|boot|gates|exit|ring3|process|snapshot|io|personalities [--runs N] [--json FILE] [--only block,direct,net,share,find,start|kvm,hyperv,xen,vmware]\n       {BasketCommand.Usage}";
if (args.Length == 5 && args[0] == BootBench.OnceArgument)
{
    return BootBench.RunOnce(args[1], args[2], args[3], args[4]);
}

if (args.Length == 6 && args[0] == BasketBench.OnceArgument)
{
    return BasketBench.RunOnce(args[1], args[2], args[3], args[4], int.Parse(args[5], CultureInfo.InvariantCulture));
}

if (args.Length > 0 && args[0] == "basket")
{
    return BasketCommand.Run(args.AsSpan(1));
}

int runs = 5;
string? json = null;
string? what = null;
string? parts = null;
for (int n = 0; n < args.Length; n++)
{
    switch (args[n])
    {
        case "--runs" when n + 1 < args.Length && int.TryParse(args[n + 1], CultureInfo.InvariantCulture, out runs) && runs is > 0 and < 1000:
            n++;
            break;
        case "--json" when n + 1 < args.Length:
            json = args[++n];
            break;
        case "--only" when n + 1 < args.Length:
            parts = args[++n];
            break;
        case "loop" or "device" or "boot" or "gates" or "exit" or "ring3" or "process" or "snapshot" or "io" or "personalities" when what == null:
            what = args[n];
            break;
        default:
            Console.Error.WriteLine(usage);
            return 2;
    }
}

List<Figure> figures;
switch (what)
{
    case "loop":
        figures = LoopBench.Run(runs);
        break;
    case "device":
        figures = DeviceBench.Run(runs);
        break;
    case "gates":
        figures = GateBench.Run(runs);
        break;
    case "exit":
        figures = ExitBench.Run(runs);
        break;
    case "ring3":
        figures = ProgramModeBench.Run(runs);
        break;
    case "process":
        figures = ProcessBench.Run(runs);
        break;
    case "snapshot":
        figures = SnapshotBench.Run(runs);
        break;
    case "io":
        figures = IoBench.Run(runs, parts ?? "block,net,share,start");
        break;
    case "personalities":
        figures = IoBench.RunPersonalities(runs, parts ?? "");
        break;
    case "boot":
        figures = BootBench.Run(runs);
        break;
    default:
        Console.Error.WriteLine(usage);
        return 2;
}

Console.WriteLine($"{"figure",-44} {"subject",-14} {"median",12} {"min",12} {"max",12}  unit");
foreach (Figure f in figures)
{
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{f.Name,-44} {f.Subject,-14} {f.Median,12:F2} {f.Minimum,12:F2} {f.Maximum,12:F2}  {f.Unit}"));
}

if (json != null)
{
    File.WriteAllText(json, JsonSerializer.Serialize(figures));
}

return 0;

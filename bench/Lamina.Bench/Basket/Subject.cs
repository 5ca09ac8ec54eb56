namespace Lamina.Bench.Basket;

/// <summary>What the basket runs on, with all its measurements.</summary>
internal sealed class Subject
{
    private readonly Dictionary<string, List<Measurement>> _runs = [];

    /// <summary>What went wrong, a line each.</summary>
    public List<string> Errors { get; } = [];

    /// <summary>The members that were measured.</summary>
    public IEnumerable<string> Names => _runs.Keys;

    /// <summary>Takes the results of one run.</summary>
    public void Add(BasketSession session)
    {
        Errors.AddRange(session.Errors);
        foreach (Measurement measurement in session.Measurements.Values)
        {
            if (!_runs.TryGetValue(measurement.Name, out List<Measurement>? list))
            {
                _runs[measurement.Name] = list = [];
            }

            list.Add(measurement);
        }
    }

    /// <summary>The run of a member with the median time, or null where it never ended.</summary>
    public Measurement? Median(string name)
    {
        return _runs.TryGetValue(name, out List<Measurement>? list) ? list.OrderBy(m => m.Nanoseconds).ElementAt(list.Count / 2) : null;
    }

    /// <summary>All runs of a member.</summary>
    public IReadOnlyList<Measurement> All(string name) => _runs.TryGetValue(name, out List<Measurement>? list) ? list : [];
}

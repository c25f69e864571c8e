//! The curves as SVG, readable on light pages and dark ones.

use anyhow::anyhow;
use plotters::{
    chart::{LabelAreaPosition, SeriesLabelPosition},
    coord::Shift,
    prelude::*,
};

/// A picture: some charts side by side, of which each has its caption and its curves.
pub struct Picture {
    pub title: String,
    pub unit: &'static str,
    pub charts: Vec<(String, Vec<Line>)>,
}

/// One curve of a chart: values over numbers of keys.
#[derive(Clone)]
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(usize, f64)>,
}

const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
/// Ours, then the others in their order.
const CURVES: [RGBColor; 5] = [
    RGBColor(0x09, 0x69, 0xda),
    RGBColor(0xcf, 0x22, 0x2e),
    RGBColor(0xbf, 0x87, 0x00),
    RGBColor(0x6e, 0x77, 0x81),
    RGBColor(0x82, 0x50, 0xdf),
];
/// What each colour becomes on a dark page.
const DARK: [(RGBColor, &str); 8] = [
    (PAPER, "#0d1117"),
    (INK, "#d1d7e0"),
    (GRID, "#30363d"),
    (CURVES[0], "#58a6ff"),
    (CURVES[1], "#ff7b72"),
    (CURVES[2], "#e3b341"),
    (CURVES[3], "#9198a1"),
    (CURVES[4], "#bc8cff"),
];
const HEIGHT: u32 = 370;
const WIDTH: u32 = 460;

/// Draws a picture.
///
/// # Errors
///
/// If the drawing library fails.
pub fn draw(picture: &Picture) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH * picture.charts.len() as u32, HEIGHT)).into_drawing_area();
        root.fill(&PAPER).map_err(failed)?;
        let body = root.titled(&picture.title, style(20)).map_err(failed)?;
        for (area, (caption, lines)) in body.split_evenly((1, picture.charts.len())).iter().zip(&picture.charts) {
            chart(area, caption, picture.unit, lines)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(with_dark(&svg))
}

fn chart(area: &DrawingArea<SVGBackend<'_>, Shift>, caption: &str, unit: &str, lines: &[Line]) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (least, most) = points().fold((f64::MAX, 0.0_f64), |(least, most), (_, y)| (least.min(*y), most.max(*y)));
    let keys = points().fold((f64::MAX, 0.0_f64), |(least, most), (x, _)| (least.min(*x as f64), most.max(*x as f64)));
    // Room above for the names.
    let (bottom, top) = (10_f64.powf(least.log10().floor()), most * 2_f64.powi(lines.len() as i32));
    let mut chart = ChartBuilder::on(area)
        .caption(caption, style(17))
        .margin(10)
        .margin_right(30)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 48)
        .build_cartesian_2d((keys.0..keys.1).log_scale(), (bottom..top).log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(style(15))
        .axis_desc_style(style(15))
        .x_desc("keys")
        .y_desc(unit)
        .y_labels(5)
        .x_label_formatter(&|keys| count(*keys))
        .y_label_formatter(&|value| count(*value))
        .draw()
        .map_err(failed)?;
    for (line, colour) in lines.iter().zip(CURVES) {
        let points = || line.points.iter().map(|(x, y)| (*x as f64, *y));
        let series = LineSeries::new(points(), colour.stroke_width(2));
        chart
            .draw_series(series)
            .map_err(failed)?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|at| Circle::new(at, 3, colour.filled()))).map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(style(15))
        .margin(8)
        .draw()
        .map_err(failed)?;
    Ok(())
}

fn style(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_text_style(&(1, 1)).color(&INK)
}

/// 1 k, 10 M.
fn count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// Rules that recolour the picture where the reader prefers dark pages: they come before the attributes.
fn with_dark(svg: &str) -> String {
    let rule = |(RGBColor(red, green, blue), dark): (RGBColor, &str)| {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    let rules: String = DARK.into_iter().map(rule).collect();
    let style = format!("<style>@media (prefers-color-scheme: dark){{{rules}}}</style>");
    let end = svg.find('>').map_or(0, |end| end + 1);
    format!("{}\n{style}{}", &svg[..end], &svg[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_of_a_picture_has_a_dark_one() {
        let lines = || vec![Line { name: "a", points: vec![(1_000, 10.0), (10_000, 20.0)] }; 5];
        let picture = Picture { title: "t".to_owned(), unit: "ns", charts: vec![("one".to_owned(), lines())] };
        let svg = draw(&picture).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("@media (prefers-color-scheme: dark)"));
        let (_, body) = svg.split_once("</style>").unwrap();
        for part in body.split("=\"#").skip(1) {
            let colour = &part[..6];
            assert!(svg.contains(&format!("[fill=\"#{colour}\"]")), "{colour}");
        }
    }
}

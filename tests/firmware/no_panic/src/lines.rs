use core::fmt::{self, Write};

use steadfast_core::{
    Logger,
    logger::{Event, Group, Level, Show, Text, compact},
};

use crate::{any, now, see, see_all, seed, span, text};

fn level() -> Level {
    match any::<u8>() {
        0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        _ => Level::Error,
    }
}

fn show() -> Show {
    match any::<u8>() {
        0 => Show::OnlyErrors,
        1 => Show::Silent,
        2 => Show::Verbose,
        _ => Show::Normal,
    }
}

fn formatter(group: &Group<'_>, line: &mut dyn Write) -> fmt::Result {
    see((group.service(), group.kind(), group.level(), group.target(), group.message(), group.count()));
    see((group.actors().at_least(), group.actors().is_exact()));
    see_all(group.actors().names());
    line.write_str(group.message())
}

#[inline(never)]
pub fn probe() {
    let mut logger: Logger<8> = Logger::new().window(span(), span());
    logger.reseed(seed());
    see(logger.formatter(text(), text(), formatter));
    for _ in 0..any::<u32>() {
        let service = logger.service(text());
        see((logger.find_service(text()), logger.show(service).admits(level())));
        see((logger.set_prefix(service, text()), logger.set_show(service, show())));
        let event = Event::new(text(), text()).target(text()).message(text()).count(any()).level(level());
        see(logger.record(service, &event, now()));
        see(logger.record(service, &event.instant(), now()));
        see(logger.line(service, level(), text(), now()));
        while let Some(entry) = logger.on_timeout(now()) {
            see((
                entry.line().as_str(),
                (entry.default_line().is_cut(), entry.line_or(compact).is_cut()),
                entry.level(),
                entry.events(),
            ));
            let mut fields: Text<64> = Text::new();
            see((entry.group().count(), compact(&entry.group(), &mut fields), fields.as_str().len()));
            logger.not_written(&entry, now());
        }
        see((logger.next_deadline(), logger.stats().since(logger.stats()), logger.is_stopped()));
        logger.flush();
        let mut line: Text<64> = Text::new();
        see((line.write_str(text()), line.as_str().len()));
        see(Text::<64>::format(format_args!("{}", text())).is_cut());
    }
    logger.shutdown();
}
